"""No table can be made to forget: every row of every one is read by the verifier, and its loss is named."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from afml.core.errors import IntegrityError
from afml.ledger import snapshot, verify
from afml.ledger.checkpoint import origin_of
from afml.ledger.releases import ReleaseRecord
from afml.ledger.schema import SCHEMA
from afml.ledger.witness import Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import codes
from tests.ledger.helpers import ORIGIN, PEOPLE, PUBLIC, Clock, config, open_ledger, spend

TABLES = {
    name: tuple(re.findall(r"(?:^|\(|, )\s*(\w+) (?:TEXT|BLOB|INTEGER|REAL)", columns, re.MULTILINE))
    for name, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\) STRICT", SCHEMA, re.DOTALL)
}
PEER = generate_signing_key()
LATER = Clock(1_700_001_000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with a row in every table."""
    with open_ledger(tmp_path / "own") as ledger, open_ledger(tmp_path / "peer", key=PEER) as peer:
        spend(ledger, config("a"), 1)
        release = ReleaseRecord(run="a", file_digest="ab" * 32, model_digest="cd" * 32, min_group_size=2)
        ledger.releases.record(release, {person: str(number % 2) for number, person in enumerate(PEOPLE)})
        ledger.withdraw(PEOPLE[:2])
        spend(ledger, config("b"), 1, people=PEOPLE[2:])
        ledger.recognise([("old", [b"mark"])])
        ledger.recognise([("new", [b"mark"])])
        spend(peer, config("c"), 1)
        name = origin_of(public_bytes(PEER))
        Witness(ledger).countersign(name, peer.checkpoint(), [], public_bytes(PEER))
        line = Witness(peer).countersign(ORIGIN, ledger.checkpoint(), Witness(ledger).proof(0), PUBLIC)
        assert line is not None
        Witness(ledger).accept(ledger.checkpoint(), line, name, public_bytes(PEER))
    return tmp_path / "own"


def edit(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as database:
        database.executescript("DROP TRIGGER IF EXISTS entries_stay; DROP TRIGGER IF EXISTS entries_remain;")
        assert database.execute(statement).rowcount == 1
    database.close()


def test_every_column_of_every_table_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[tuple[str, str]] = set()

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and table and column:
            read.add((table, column))
        return sqlite3.SQLITE_OK

    @contextmanager
    def watched(path: Path) -> Iterator[sqlite3.Connection]:
        with snapshot.snapshot(path) as database:
            database.set_authorizer(note)
            yield database

    monkeypatch.setattr(verify, "snapshot", watched)
    assert verify.verify(folder, key=PUBLIC).ok
    assert len(TABLES) >= 8
    missing = {(table, column) for table, columns in TABLES.items() for column in columns} - read
    assert missing == set(), "write a check in afml/ledger/verify_tables.py"


#: What is found when one row is gone. Nobody signs which other institutions were met: what is remembered of one
#: can be forgotten by whoever holds the file, at the cost of that institution's own memory alone.
GONE = {
    "meta": "edited-meta", "entries": "gap", "checkpoints": "unsigned-tail", "enrolments": "edited-enrolment",
    "enrolled": "edited-enrolment", "withdrawn": "edited-withdrawal", "released": "edited-release", "peers": None,
    "marks": "edited-records", "same": "edited-records",
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_gone_is_named(folder: Path, table: str) -> None:
    assert verify.verify(folder, key=PUBLIC).ok
    newest = "WHERE size = (SELECT max(size) FROM checkpoints)"
    key = {"meta": "WHERE name = 'key'", "checkpoints": newest}.get(table, "")
    first = "idx" if table == "entries" else "(SELECT 1)"
    row = f"SELECT rowid FROM {table} {key} ORDER BY {first} LIMIT 1"
    keyed = "person" if table in ("enrolled", "withdrawn", "released", "marks", "same") else None
    where = f"rowid = ({row})" if keyed is None else f"{keyed} = (SELECT min({keyed}) FROM {table}) AND {_once(table)}"
    edit(folder, f"DELETE FROM {table} WHERE {where}")
    expected = GONE[table]
    found = codes(verify.verify(folder, key=PUBLIC))
    assert found == set() if expected is None else expected in found


def _once(table: str) -> str:
    return {"enrolled": "enrolment = 1"}.get(table, "1")


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE withdrawn SET person = zeroblob(16) WHERE person = (SELECT min(person) FROM withdrawn)",
         "edited-withdrawal"),
        ("UPDATE released SET pattern = 1 - pattern WHERE person = (SELECT min(person) FROM released)",
         "edited-release"),
        ("UPDATE enrolments SET commitment = zeroblob(32) WHERE enrolment = 1", "edited-enrolment"),
        ("UPDATE peers SET size = 0", "edited-peer"),
        ("UPDATE peers SET root = zeroblob(32)", "edited-peer"),
        ("UPDATE peers SET origin = 'afml/other'", "edited-peer"),
        ("UPDATE checkpoints SET size = 1", "edited-row"),
        ("UPDATE meta SET value = 'afml/other' WHERE name = 'origin'", "edited-meta"),
        ("INSERT INTO meta VALUES ('note', 'x')", "edited-meta"),
        ("UPDATE entries SET enrolment = NULL WHERE kind = 'reservation' AND run = 'a'", "edited-enrolment"),
        ("UPDATE entries SET enrolment = 1 WHERE kind = 'release'", "edited-row"),
        ("INSERT INTO enrolments VALUES (9, zeroblob(32))", "edited-enrolment"),
    ],
)  # fmt: skip
def test_a_row_that_was_changed_is_named(folder: Path, statement: str, code: str) -> None:
    edit(folder, statement)
    assert code in codes(verify.verify(folder, key=PUBLIC))


def test_without_the_person_key_numbers_are_checked_and_this_is_said(folder: Path) -> None:
    (folder / "person.key").unlink()
    result = verify.verify(folder, key=PUBLIC)
    assert result.ok
    assert "person.key is not there" in result.unchecked[0]
    edit(folder, "DELETE FROM withdrawn WHERE person = (SELECT min(person) FROM withdrawn)")
    assert "edited-withdrawal" in codes(verify.verify(folder, key=PUBLIC))


def test_a_withdrawn_person_who_is_spent_on_is_found_even_if_the_row_is_put_back(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.db") as database:
        rows = database.execute("SELECT person, idx FROM withdrawn").fetchall()
        database.execute("DELETE FROM withdrawn")
    database.close()
    with open_ledger(folder, clock=LATER) as ledger:
        spend(ledger, config("again"), 1)
    assert {"edited-withdrawal"} <= codes(verify.verify(folder, key=PUBLIC))
    with sqlite3.connect(folder / "ledger.db") as database:
        database.executemany("INSERT INTO withdrawn VALUES (?, ?)", rows)
    database.close()
    assert codes(verify.verify(folder, key=PUBLIC)) == {"withdrawn-person"}


def test_countersignatures_of_an_older_head_do_not_count(folder: Path) -> None:
    peers = {origin_of(public_bytes(PEER)): public_bytes(PEER)}
    evidence = verify.Evidence(peers=peers, countersignatures=1)
    assert verify.verify(folder, key=PUBLIC, evidence=evidence).ok
    with open_ledger(folder, clock=LATER) as ledger:
        spend(ledger, config("more"), 1, people=PEOPLE[2:])
    assert codes(verify.verify(folder, key=PUBLIC, evidence=evidence)) == {"missing-countersignature"}


def test_what_a_peer_keeps_finds_a_rollback(folder: Path, tmp_path: Path) -> None:
    """One honest peer's note is enough, without the aggregator."""
    with open_ledger(tmp_path / "peer", key=PEER) as peer:
        known = Witness(peer).known(ORIGIN)
        assert known is not None
    evidence = verify.Evidence(heads=[known.note], peers={origin_of(public_bytes(PEER)): public_bytes(PEER)})
    assert verify.verify(folder, key=PUBLIC, evidence=evidence).ok
    with open_ledger(tmp_path / "anew") as ledger:
        spend(ledger, config("a"), 1)
        with pytest.raises(IntegrityError, match="deleted"):
            Witness(ledger).require_past(known.note)
    assert "rolled-back" in codes(verify.verify(tmp_path / "anew", key=PUBLIC, evidence=evidence))
