"""Twelve tamperings, and a few more, each planted in a good ledger, caught and named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from afml.core.config import canonical_json
from afml.core.errors import InputError, IntegrityError
from afml.core.run import Budget, RunConfig
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.findings import CODES, Verification, require_ok
from afml.ledger.receipt import Receipt
from afml.ledger.verify import verify
from afml.ledger.witness import Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.helpers import (
    KEY,
    ORIGIN,
    PEOPLE,
    PUBLIC,
    Clock,
    config,
    open_ledger,
    publish,
    read_transcript,
    spend,
)


@dataclass
class Case:
    """A ledger with two runs of 3 rounds, and the aggregator's transcript of both."""

    folder: Path
    transcript: Path
    runs: list[RunConfig]
    receipts: list[list[Receipt]]
    clock: Clock

    def edit(self, statements: str) -> None:
        """What somebody with the file and SQLite can do."""
        database = sqlite3.connect(self.folder / "ledger.db")
        database.executescript("DROP TRIGGER IF EXISTS entries_stay; DROP TRIGGER IF EXISTS entries_remain;")
        database.executescript(statements)
        database.close()

    def rewrite(self, index: int, **changes: Any) -> None:
        """Change an entry and everything that follows from it: columns, leaf, head; needs the node's key."""
        database = sqlite3.connect(self.folder / "ledger.db")
        database.executescript("DROP TRIGGER IF EXISTS entries_stay;")
        (raw,) = database.execute("SELECT body FROM entries WHERE idx = ?", (index,)).fetchone()
        body = {**json.loads(raw), **changes}
        data = canonical_json(body)
        database.execute(
            "UPDATE entries SET body = ?, leaf = ?, mechanism = ?, time_ms = ? WHERE idx = ?",
            (
                data,
                tree.leaf_hash(data),
                canonical_json(body["mechanism"]).decode(),
                body["time_ms"],
                index,
            ),
        )
        leaves = [row[0] for row in database.execute("SELECT leaf FROM entries ORDER BY idx")]
        note = notes.sign(notes.Checkpoint(ORIGIN, len(leaves), tree.root_of(leaves)), KEY)
        database.execute("DELETE FROM checkpoints")
        database.execute("INSERT INTO checkpoints VALUES (?, ?)", (len(leaves), note))
        database.commit()
        database.close()

    def check(self, **options: Any) -> Verification:
        return verify(
            self.folder, **{"key": PUBLIC, "transcript": read_transcript(self.transcript), **options}
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    clock = Clock()
    built = Case(tmp_path / "ledger", tmp_path / "transcript.jsonl", [], [], clock)
    with open_ledger(built.folder, clock=clock) as ledger:
        for name in ("run-1", "run-2"):
            run = config(name)
            receipts = [spend(ledger, run, round) for round in (1, 2, 3)]
            publish(built.transcript, run, receipts, clock)
            built.runs.append(run)
            built.receipts.append(receipts)
    return built


def codes(result: Verification) -> set[str]:
    found = {finding.code for finding in result.findings}
    assert found <= CODES.keys()
    return found


def test_a_good_ledger_has_no_findings(case: Case) -> None:
    before = {path.name: path.read_bytes() for path in case.folder.iterdir()}
    result = case.check()
    assert result.ok, result.findings
    require_ok(result)
    assert result.entries == 6
    (first, second) = result.agreements
    assert second.epsilon_recomputed == pytest.approx(second.epsilon, rel=0.02)
    assert second.ple_sigma_recomputed == pytest.approx((6**0.5) / 8, rel=0.02)
    assert first.people == 12
    assert before == {path.name: path.read_bytes() for path in case.folder.iterdir()}  # evidence is untouched


# The twelve.


def test_1_edited_row(case: Case) -> None:
    edited = "CAST(replace(body, '\"round\":2', '\"round\":9') AS BLOB)"
    case.edit(f"UPDATE entries SET body = {edited} WHERE idx = 1")
    assert "edited-row" in codes(case.check(transcript=()))


def test_1_edited_row_with_its_hash(case: Case) -> None:
    edited = "CAST(replace(body, 'run-1', 'other') AS BLOB)"
    case.edit(f"UPDATE entries SET run = 'other', body = {edited} WHERE idx = 1")
    with sqlite3.connect(case.folder / "ledger.db") as database:
        (body,) = database.execute("SELECT body FROM entries WHERE idx = 1").fetchone()
        leaf = hashlib.sha256(b"\x00" + body).digest()
        database.execute("UPDATE entries SET leaf = ? WHERE idx = 1", (leaf,))
    assert "edited-row" in codes(case.check(transcript=()))


def test_2_deleted_tail(case: Case) -> None:
    case.edit("DELETE FROM entries WHERE idx >= 4")
    assert "deleted-tail" in codes(case.check(transcript=()))


def test_3_reordered(case: Case) -> None:
    case.edit("""
        UPDATE entries SET idx = 100 WHERE idx = 1; UPDATE entries SET idx = 1 WHERE idx = 2;
        UPDATE entries SET idx = 2 WHERE idx = 100;
    """)
    assert "reordered" in codes(case.check(transcript=()))


def test_4_rolled_back_database(case: Case, tmp_path: Path) -> None:
    shutil.copytree(case.folder, tmp_path / "old")
    with open_ledger(case.folder, clock=case.clock) as ledger:
        run = config("run-3")
        publish(case.transcript, run, [spend(ledger, run, 1)], case.clock)
    assert case.check().ok
    shutil.rmtree(case.folder)
    shutil.copytree(tmp_path / "old", case.folder)  # a perfectly valid ledger, of yesterday
    assert case.check(transcript=()).ok
    assert {"rolled-back", "hidden-run"} <= codes(case.check())


def test_5_forked_head(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        good = ledger.checkpoint()
    mechanism = {"kind": "gaussian", "noise_multiplier": 8.0}
    case.rewrite(5, mechanism=mechanism, phase="other")
    assert case.check(transcript=()).ok  # consistent in itself, signed with the right key
    assert "forked-head" in codes(case.check(transcript=(), heads=[good]))
    assert "forked-head" in codes(case.check())  # the transcript's receipts hold the head, too


def test_6_wrong_key(case: Case) -> None:
    stranger = generate_signing_key()
    leaves = []
    with open_ledger(case.folder, clock=case.clock) as ledger:
        leaves = ledger.leaves()
    note = notes.sign(notes.Checkpoint(ORIGIN, len(leaves), tree.root_of(leaves)), stranger)
    with sqlite3.connect(case.folder / "ledger.db") as database:
        database.execute("UPDATE checkpoints SET note = ?", (note,))
    assert "wrong-key" in codes(case.check())
    assert "wrong-key" in codes(case.check(key=public_bytes(generate_signing_key())))


def test_7_changed_noise_multiplier(case: Case) -> None:
    case.rewrite(2, mechanism={"kind": "gaussian", "noise_multiplier": 80.0})
    found = case.check()
    assert "changed-noise-multiplier" in codes(found)
    assert any("accounted 80.0, published 8.0" in finding.problem for finding in found.findings)


def test_8_hidden_run(case: Case, tmp_path: Path) -> None:
    hidden = config("hidden")
    with open_ledger(tmp_path / "second-book", clock=case.clock) as ledger:
        publish(case.transcript, hidden, [spend(ledger, hidden, 1)], case.clock)
    assert "hidden-run" in codes(case.check())


def test_8_hidden_round(case: Case, tmp_path: Path) -> None:
    with open_ledger(tmp_path / "second-book", clock=case.clock) as ledger:
        publish(case.transcript, case.runs[1], [spend(ledger, case.runs[1], 4)], case.clock)
    assert "hidden-round" in codes(case.check())


def test_9_duplicated_event(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        body = dict(next(ledger.entries()).body)
        ledger.database.execute("DROP INDEX spend_once")
        columns = {
            "run": "run-1",
            "round": 1,
            "attempt": 1,
            "enrolment": 1,
            "broken_multiplier": body["broken_multiplier"],
            "mechanism": canonical_json(body["mechanism"]).decode(),
            "plan": canonical_json(body["plan"]).decode(),
        }
        rest = {key: value for key, value in body.items() if key not in ("v", "index", "time_ms")}
        with ledger.transaction():
            ledger.add(rest, columns)
    assert "duplicated-event" in codes(case.check())


def test_10_replayed_receipt(case: Case) -> None:
    """The node pays once and sends twice, with the same receipt."""
    again = replace_round(case.receipts[1][2], 4)
    publish(case.transcript, case.runs[1], [again], case.clock)
    assert {"replayed-receipt", "hidden-round"} <= codes(case.check())


def replace_round(receipt: Receipt, round: int) -> Any:
    @dataclass
    class Replayed:
        round: int
        attempt: int

        def to_json(self) -> dict[str, object]:
            return receipt.to_json()

    return Replayed(round, 1)


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_11_truncated_file(case: Case, keep: float) -> None:
    path = case.folder / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert codes(case.check()) == {"truncated-file"}


def test_12_clock_set_back(case: Case) -> None:
    # By the node's own hand: entry 4 claims to be from before entry 3, and everything is signed again.
    with open_ledger(case.folder, clock=case.clock) as ledger:
        early = list(ledger.entries())[3].body["time_ms"]
    assert isinstance(early, int)
    case.rewrite(4, time_ms=early - 60_000)
    assert "clock-set-back" in codes(case.check(transcript=()))


# And more.


def test_missing_entry_in_the_middle(case: Case) -> None:
    case.edit("DELETE FROM entries WHERE idx = 2")
    assert "gap" in codes(case.check(transcript=()))


def test_entries_without_a_head(case: Case) -> None:
    case.edit("DELETE FROM checkpoints")
    assert "unsigned-tail" in codes(case.check(transcript=()))


def test_rewritten_people(case: Case) -> None:
    case.edit("DELETE FROM enrolled WHERE person = (SELECT min(person) FROM enrolled)")
    assert "edited-enrolment" in codes(case.check())


def test_a_lower_claim_than_the_second_accountant_finds(case: Case) -> None:
    case.rewrite(5, claim={"delta": 1e-5, "epsilon": 0.5, "ple_sigma": 0.1, "accountant": "closed form"})
    assert "accounting-disagrees" in codes(case.check(transcript=()))


def test_a_passed_budget(case: Case) -> None:
    case.rewrite(5, budget={"delta": 1e-5, "ple_sigma": 0.2})
    assert "over-budget" in codes(case.check(transcript=()))


def test_a_round_below_quorum(case: Case, tmp_path: Path) -> None:
    with open_ledger(tmp_path / "other", clock=case.clock) as ledger:
        paid = [spend(ledger, config("weak"), 1)]
    publish(case.transcript, config("weak"), paid, case.clock, cohort=(2, 3), receipts={})
    assert codes(case.check()) == {"quorum-broken"}


def test_another_configuration_than_published(case: Case) -> None:
    case.rewrite(2, config_digest="00" * 32)
    assert "changed-spend" in codes(case.check())


def test_an_attack_above_the_accountant(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        ledger.record_audit("run-1", 0.1, confidence=0.95, instrument="one-run canaries")
        assert case.check().ok
        ledger.record_audit("run-1", 3.0, confidence=0.95, instrument="one-run canaries")
    assert codes(case.check()) == {"audit-exceeds-accounting"}


def test_countersignatures_count_and_must_verify(case: Case, tmp_path: Path) -> None:
    peer = generate_signing_key()
    name = "afml/test/node-2"
    with open_ledger(case.folder, clock=case.clock) as ledger:
        with open_ledger(tmp_path / "peer", key=peer, origin=name) as other:
            note = ledger.checkpoint()
            line = Witness(other).countersign(note, ledger.consistency(0), PUBLIC)
        Witness(ledger).accept(note, line, name, public_bytes(peer))
    peers = {name: public_bytes(peer)}
    assert case.check(peers=peers, require_countersignatures=1).ok
    assert codes(case.check(peers=peers, require_countersignatures=2)) == {"missing-countersignature"}
    forged = notes.cosign(note.replace("\n6\n", "\n5\n"), name, peer, 1)
    with sqlite3.connect(case.folder / "ledger.db") as database:
        database.execute("UPDATE checkpoints SET note = ?", (note + forged,))
    assert "bad-countersignature" in codes(case.check(peers=peers))


def test_subsampled_runs_over_overlapping_people_agree_with_the_second_accountant(tmp_path: Path) -> None:
    budget = Budget(delta=1e-5, ple_sigma=3.0)
    with open_ledger(tmp_path) as ledger:
        for name, people in (("a", PEOPLE[:8]), ("b", PEOPLE[4:])):
            run = config(name, z=1.2, rate=0.3, rounds=3, budget=budget)
            for round in (1, 2, 3):
                spend(ledger, run, round, people=people)
    result = verify(tmp_path, key=PUBLIC)
    assert result.ok, result.findings
    alone, together = result.agreements
    assert together.epsilon_recomputed > 1.3 * alone.epsilon_recomputed


def test_findings_become_one_error() -> None:
    result = Verification(origin="o")
    result.add("gap", "entry 3", "follows entry 1")
    result.add("gap", "entry 5", "follows entry 3")
    with pytest.raises(IntegrityError, match=r"o: gap at entry 3.*and 1 more") as caught:
        require_ok(result)
    assert caught.value.exit_code == 6
    assert replace(result.findings[0], where="x").where == "x"


def test_no_ledger_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ledger\.db"):
        verify(tmp_path, key=PUBLIC)


def test_the_verifier_shares_no_tree_or_accounting_code_with_the_writer() -> None:
    import ast

    import afml.ledger

    folder = Path(afml.ledger.__file__).parent
    allowed = {"independent", "verify_spends", "findings", "transcript", "snapshot"}
    for name in ("independent", "verify", "verify_spends"):
        for item in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            names = []
            if isinstance(item, ast.ImportFrom) and item.module:
                names = [
                    f"{item.module}.{a.name}" if item.module == "afml.ledger" else item.module
                    for a in item.names
                ]
            elif isinstance(item, ast.Import):
                names = [alias.name for alias in item.names]
            for module in names:
                assert not module.startswith("afml.privacy"), module
                if module.startswith("afml.ledger"):
                    assert module.split(".")[2] in allowed, module


def test_transcripts_are_chained_and_signed(case: Case) -> None:
    lines = case.transcript.read_bytes().splitlines(keepends=True)
    for name, data in {
        "dropped": lines[:2] + lines[3:],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "altered": [lines[0].replace(b'"round":1', b'"round":7'), *lines[1:]],
        "cut": [*lines[:-1], lines[-1][:-10]],
        "junk": [b"[]\n"],
    }.items():
        path = case.transcript.with_name(name)
        path.write_bytes(b"".join(data))
        with pytest.raises(IntegrityError):
            read_transcript(path)
    with pytest.raises(IntegrityError, match="already published"):
        publish(case.transcript, case.runs[0], case.receipts[0][:1], case.clock)
    # A crash in the middle of a line: the next append mends it.
    case.transcript.write_bytes(b"".join(lines) + lines[0][:25])
    run = config("run-3")
    with open_ledger(case.folder, clock=case.clock) as ledger:
        publish(case.transcript, run, [spend(ledger, run, 1)], case.clock)
    assert len(read_transcript(case.transcript)) == 7
