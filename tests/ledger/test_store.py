"""Appending, receipts, budgets, and what does not open."""

from __future__ import annotations

import copy
import math
import pickle
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget
from afml.core.errors import BudgetError, ConfigError, InputError, IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import schema
from afml.ledger.checkpoint import origin_of
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.spending import worst, worst_committed
from afml.ledger.summary import summarise
from afml.ledger.verify import verify
from crypto.public.signing import generate_signing_key
from node.memory import require_remembered
from node.workspace import Workspace
from tests.ledger.helpers import (
    LIFETIME,
    ORIGIN,
    PEOPLE,
    PUBLIC,
    Clock,
    config,
    limits,
    open_ledger,
    sigma,
    spend,
)  # fmt: skip

DELTA = 1e-5


def test_append_returns_a_receipt_that_names_the_entry(tmp_path: Path) -> None:
    run = config()
    with open_ledger(tmp_path) as ledger:
        receipt = spend(ledger, run, 1)
        receipt.require("run-1", Attempt(1, 1))
        _, entry = ledger.entries()
        assert (receipt.index, receipt.leaf) == (entry.index, entry.leaf)
        head = notes.verify(receipt.checkpoint, PUBLIC)
        assert (head.origin, head.size) == (ORIGIN, 2)
        assert entry.body["config_digest"] == run.digest().hex()
        assert entry.body["people"] == 12
        assert entry.body["insecure"] is False
        with pytest.raises(IntegrityError, match="append the spend first"):
            receipt.require("run-1", Attempt(2, 1))


def test_a_receipt_cannot_be_made_changed_copied_or_pickled(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        receipt = spend(ledger, config(), 1)
    fields = {name: getattr(receipt, name) for name in Receipt.__slots__}
    with pytest.raises(TypeError):
        Receipt(**fields)
    with pytest.raises(TypeError):
        Receipt(object(), **fields)
    with pytest.raises(AttributeError):
        receipt.attempt = Attempt(2, 1)
    with pytest.raises(AttributeError):
        del receipt.attempt
    for clone in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            clone(receipt)


def test_spend_survives_and_receipts_are_found_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = spend(ledger, config(), 1)
    with open_ledger(tmp_path) as ledger:
        found = ledger.receipt("run-1", Attempt(1, 1))
        assert found is not None
        assert (found.index, found.leaf) == (first.index, first.leaf)
        assert ledger.receipt("run-1", Attempt(2, 1)) is None
        assert sigma(ledger, PEOPLE) == pytest.approx(1 / 8)


def test_an_attempt_is_spent_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        with pytest.raises(IntegrityError, match="already spent"):
            spend(ledger, config(), 1)
        spend(ledger, config(), 1, attempt=2)
        assert sigma(ledger, PEOPLE) == pytest.approx(math.sqrt(2) / 8)


def test_the_budget_of_the_worst_person_decides(tmp_path: Path) -> None:
    budget = Budget(delta=DELTA, ple_sigma=0.6)
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a", z=2.0, rounds=1, reserve_attempts=0, budget=budget), 1, people=["ann"])
        second = config("b", z=2.0, rounds=1, reserve_attempts=0, budget=budget)
        with pytest.raises(BudgetError, match=r"charged 0\.5, left 0\.33"):
            spend(ledger, second, 1, people=["ann", "bob"])
        assert len(ledger) == 2  # refused plans leave nothing behind
        spend(ledger, second, 1, people=["bob"])
        assert worst_committed(ledger.accounts(["bob"]), budget).left == pytest.approx(math.sqrt(0.36 - 0.25))


def test_what_is_left_if_aggregation_is_broken(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(z=8.0), 1)
        assert worst(ledger.accounts(PEOPLE, broken=True), LIFETIME).filter.sigma == pytest.approx(math.sqrt(2) / 8)


def test_a_run_may_not_change_its_plan(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run, changed = config(rounds=4), config(rounds=5)
        spend(ledger, run, 1)
        with pytest.raises(IntegrityError, match="this name belongs to the configuration"):
            spend(ledger, changed, 2)
        forged = replace(spend_for(changed, Attempt(2, 1), [1, 2, 3]), config_digest=run.digest().hex())
        with pytest.raises(IntegrityError, match="plan of this run has changed"):
            ledger.append(forged, PEOPLE, limits(changed))


def test_a_cohort_below_quorum_is_refused_by_the_node() -> None:
    with pytest.raises(ConfigError, match="quorum"):
        spend_for(config(), Attempt(1, 1), [1, 2])
    with pytest.raises(ConfigError, match="not enrolled"):
        spend_for(config(), Attempt(1, 1), [1, 2, 9])


def test_simulated_runs_are_marked(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(seed=1), 1)
        assert [entry.body["insecure"] for entry in ledger.entries()] == [True, True]


def test_the_clock_may_jitter_but_not_go_back(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path, clock=clock) as ledger:
        spend(ledger, config(), 1)
        clock.now -= 3
        spend(ledger, config(), 2)
        clock.now -= 3600
        with pytest.raises(IntegrityError, match=r"clock is .* behind"):
            spend(ledger, config(), 3)
        times = [entry.body["time_ms"] for entry in ledger.entries()]
        assert times == sorted(times)  # type: ignore[type-var]


def test_a_tampered_or_foreign_ledger_does_not_open(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            ledger.database.execute("UPDATE entries SET round = 7")
        with pytest.raises(sqlite3.DatabaseError, match="append-only"):
            ledger.database.execute("DELETE FROM entries")
    with pytest.raises(IntegrityError, match="is the ledger of"):
        open_ledger(tmp_path, origin=origin_of(bytes(32)))
    with pytest.raises(IntegrityError):
        open_ledger(tmp_path, key=generate_signing_key())
    database = sqlite3.connect(tmp_path / "ledger.db")
    database.executescript("DROP TRIGGER entries_remain; DELETE FROM entries;")
    database.close()
    with pytest.raises(IntegrityError, match="signed head has 2"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("version", ["1", "4", "0", "one", None])
def test_a_ledger_of_another_schema_is_refused_in_one_line(tmp_path: Path, version: str | None) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        note = ledger.checkpoint()
    with sqlite3.connect(tmp_path / schema.FILE) as database:
        if version is None:
            database.execute("DELETE FROM meta WHERE name = 'version'")
        else:
            database.execute("UPDATE meta SET value = ? WHERE name = 'version'", (version,))
    database.close()
    for read in (open_ledger, summarise, lambda folder: verify(folder, key=PUBLIC)):
        with pytest.raises(
            InputError, match=r"ledger\.db: has schema version .*; (use the version of|update) AFML"
        ) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / schema.FILE) as database:
        database.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (str(schema.VERSION),))
    database.close()
    with open_ledger(tmp_path) as ledger:
        assert ledger.checkpoint() == note


def test_a_file_that_was_cut_to_nothing_is_no_ledger(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger") as ledger:
        spend(ledger, config(), 1)
    assert schema.begun(tmp_path / "ledger")
    (tmp_path / "ledger" / "ledger.db").write_bytes(b"")
    assert not schema.begun(tmp_path / "ledger")
    with pytest.raises(IntegrityError, match=r"holds no ledger, and .* began under an earlier key"):
        open_ledger(tmp_path / "ledger", key=generate_signing_key(), origin=ORIGIN)
    work = Workspace(tmp_path)
    work.model("first").mkdir(parents=True)
    with pytest.raises(IntegrityError, match=r"took part in 1 run \(first\)"):
        require_remembered(work, tmp_path / "ledger")
    with sqlite3.connect(tmp_path / "ledger" / "ledger.db") as database:
        database.execute("CREATE TABLE other (a)")
    database.close()
    with pytest.raises(IntegrityError, match="its tables are not those of a ledger"):
        open_ledger(tmp_path / "ledger")


def test_a_transaction_within_another_is_a_part_of_it(tmp_path: Path) -> None:
    run = config()
    with open_ledger(tmp_path) as ledger:
        spend(ledger, run, 1)
        before = ledger.checkpoint()
        with pytest.raises(KeyError), ledger.transaction():
            spend(ledger, run, 2)
            raise KeyError
        assert (ledger.checkpoint(), len(ledger)) == (before, 2)
        with ledger.transaction():
            spend(ledger, run, 2)
            with pytest.raises(IntegrityError, match="already spent"):
                spend(ledger, run, 2)
            spend(ledger, run, 3)
        assert len(ledger) == 4
    with open_ledger(tmp_path) as ledger:
        assert list(ledger.spends(run.run, range(1, 9))) == [Attempt(number, 1) for number in (1, 2, 3)]
    assert verify(tmp_path, key=PUBLIC, node=1).ok


def test_a_full_disk_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    run = config(rounds=60, z=100.0)
    with open_ledger(tmp_path) as ledger:
        spend(ledger, run, 1)
        pages = ledger.database.execute("PRAGMA page_count").fetchone()[0]
        ledger.database.execute(f"PRAGMA max_page_count={pages}")  # which SQLite answers as a full disk
        done = 1
        with pytest.raises(InputError, match="finds no room on its disk") as full:
            for done in range(1, 60):
                spend(ledger, run, done + 1)
        assert "\n" not in str(full.value)
        assert ledger.attempts(run.run, range(1, 61)) == done == len(ledger.spends(run.run, range(1, 61)))
        ledger.database.execute("PRAGMA max_page_count=100000")
        spend(ledger, run, done + 1)
        assert ledger.attempts(run.run, range(1, 61)) == done + 1
        assert ledger.attempts(run.run, range(2, 3)) == 1
    assert verify(tmp_path, key=PUBLIC, node=1).ok
