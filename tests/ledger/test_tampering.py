"""Twelve tamperings, each planted in a good ledger, caught and named."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.core.config import canonical_json
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.receipt import Receipt
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import Case, codes
from tests.ledger.helpers import (
    ORIGIN,
    config,
    open_ledger,
    publish,
    spend,
)


def test_1_edited_row(case: Case) -> None:
    edited = "CAST(replace(body, '\"round\":2', '\"round\":9') AS BLOB)"
    case.edit(f"UPDATE entries SET body = {edited} WHERE idx = 2")
    assert "edited-row" in codes(case.check(transcript=()))


def test_1_edited_row_with_its_hash(case: Case) -> None:
    edited = "CAST(replace(body, 'run-1', 'other') AS BLOB)"
    case.edit(f"UPDATE entries SET run = 'other', body = {edited} WHERE idx = 2")
    with sqlite3.connect(case.folder / "ledger.db") as database:
        (body,) = database.execute("SELECT body FROM entries WHERE idx = 2").fetchone()
        leaf = hashlib.sha256(b"\x00" + body).digest()
        database.execute("UPDATE entries SET leaf = ? WHERE idx = 2", (leaf,))
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
    case.rewrite(7, mechanism=mechanism, phase="other")
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
        body = dict(list(ledger.entries())[1].body)
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
        attempt: Attempt

        def to_json(self) -> dict[str, object]:
            return receipt.to_json()

    return Replayed(Attempt(round, 1))


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_11_truncated_file(case: Case, keep: float) -> None:
    path = case.folder / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert codes(case.check()) == {"truncated-file"}


def test_12_clock_set_back(case: Case) -> None:
    # By the node's own hand: entry 5 claims to be from before entry 4, and everything is signed again.
    with open_ledger(case.folder, clock=case.clock) as ledger:
        early = list(ledger.entries())[4].body["time_ms"]
    assert isinstance(early, int)
    case.rewrite(5, time_ms=early - 60_000)
    assert "clock-set-back" in codes(case.check(transcript=()))
