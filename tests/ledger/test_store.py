from __future__ import annotations

import copy
import math
import pickle
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.core.errors import BudgetError, ConfigError, InputError, IntegrityError, ReleaseError
from afml.core.run import Budget
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.releases import ReleaseRecord
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from afml.privacy.ple import ple
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.helpers import KEY, ORIGIN, PEOPLE, PUBLIC, Clock, config, open_ledger, spend

DELTA = 1e-5


def sigma(ledger: Ledger, people: list[str]) -> float:
    return ple(ledger.spent(people), DELTA).sigma


def test_append_returns_a_receipt_that_names_the_entry(tmp_path: Path) -> None:
    run = config()
    with open_ledger(tmp_path) as ledger:
        receipt = spend(ledger, run, 1)
        receipt.require("run-1", 1, 1)
        (entry,) = ledger.entries()
        assert (receipt.index, receipt.leaf) == (entry.index, entry.leaf)
        head = notes.verify(receipt.checkpoint, PUBLIC)
        assert (head.origin, head.size) == (ORIGIN, 1)
        assert entry.body["config_digest"] == run.digest().hex()
        assert entry.body["people"] == 12
        assert entry.body["insecure"] is False
        with pytest.raises(IntegrityError, match="append the spend first"):
            receipt.require("run-1", 2, 1)


def test_a_receipt_cannot_be_made_changed_copied_or_pickled(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        receipt = spend(ledger, config(), 1)
    fields = {name: getattr(receipt, name) for name in Receipt.__slots__}
    with pytest.raises(TypeError):
        Receipt(**fields)
    with pytest.raises(TypeError):
        Receipt(object(), **fields)
    with pytest.raises(AttributeError):
        receipt.round = 2
    with pytest.raises(AttributeError):
        del receipt.round
    for clone in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            clone(receipt)


def test_spend_survives_and_receipts_are_found_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = spend(ledger, config(), 1)
    with open_ledger(tmp_path) as ledger:
        found = ledger.receipt("run-1", 1, 1)
        assert found is not None
        assert (found.index, found.leaf) == (first.index, first.leaf)
        assert ledger.receipt("run-1", 2, 1) is None
        assert sigma(ledger, PEOPLE) == pytest.approx(1 / 8)


def test_an_attempt_is_spent_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        with pytest.raises(IntegrityError, match="already spent"):
            spend(ledger, config(), 1)
        spend(ledger, config(), 1, attempt=2)
        assert sigma(ledger, PEOPLE) == pytest.approx(math.sqrt(2) / 8)


def test_overlapping_added_and_removed_people(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a", z=2.0), 1, people=["ann", "bob"])
        spend(ledger, config("b", z=2.0), 1, people=["bob", "cem"])
        spend(ledger, config("c", z=2.0), 1, people=["cem", "dee"])
        spend(ledger, config("d", z=2.0), 1, people=["bob", "cem", "eve"])
        for person, events in {"ann": 1, "bob": 3, "cem": 3, "dee": 1, "eve": 1, "new": 0}.items():
            assert sigma(ledger, [person]) == pytest.approx(math.sqrt(events) / 2)
        assert sigma(ledger, ["ann", "dee"]) == pytest.approx(1 / 2)  # a maximum, not a sum over people
        assert sigma(ledger, ["ann", "bob", "new"]) == pytest.approx(math.sqrt(3) / 2)
        assert len(ledger.accounts(["bob", "cem"])) == 2  # same amount, different histories


people_sets = st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(people_sets)
def test_spend_per_person_against_a_slow_count(
    tmp_path_factory: pytest.TempPathFactory, sets: list[set[str]]
) -> None:
    with open_ledger(tmp_path_factory.mktemp("ledger")) as ledger:
        for number, people in enumerate(sets):
            run = config(f"run-{number}", z=3.0)
            ledger.append(spend_for(run, 1, 1, [1, 2, 3]), sorted(people))
        for person in "abcdef":
            count = sum(person in people for people in sets)
            assert sigma(ledger, [person]) == pytest.approx(math.sqrt(count) / 3)
        most = max(sum(p in people for people in sets) for p in "abcdef")
        assert sigma(ledger, list("abcdef")) == pytest.approx(math.sqrt(most) / 3)


def test_the_budget_of_the_worst_person_decides(tmp_path: Path) -> None:
    budget = Budget(delta=DELTA, ple_sigma=0.6)
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a", z=2.0, budget=budget), 1, people=["ann"])
        with pytest.raises(BudgetError, match=r"spent 0\.5, left 0\.33"):
            spend(ledger, config("b", z=2.0, budget=budget), 1, people=["ann", "bob"])
        assert len(ledger) == 1  # refused spends leave nothing behind
        spend(ledger, config("b", z=2.0, budget=budget), 1, people=["bob"])
        assert ledger.standing(["bob"], budget).left == pytest.approx(math.sqrt(0.36 - 0.25))


def test_what_is_left_if_aggregation_is_broken(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(z=8.0), 1)
        assert ple(ledger.spent(PEOPLE, broken=True), DELTA).sigma == pytest.approx(math.sqrt(2) / 8)


def test_withdrawn_people_leave_future_events_and_their_spend_stays(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a"), 1)
        ledger.withdraw(PEOPLE[3])
        ledger.withdraw(PEOPLE[3])
        assert len(ledger) == 2
        with pytest.raises(BudgetError, match="1 of 12 people have withdrawn"):
            spend(ledger, config("b"), 1)
        left = ledger.enrollable(PEOPLE)
        assert left == [p for p in PEOPLE if p != PEOPLE[3]]
        spend(ledger, config("b"), 1, people=left)
        assert sigma(ledger, [PEOPLE[3]]) == pytest.approx(1 / 8)
        assert sigma(ledger, left) == pytest.approx(math.sqrt(2) / 8)


def test_a_run_may_not_change_its_plan(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(rounds=4), 1)
        with pytest.raises(IntegrityError, match="plan of this run has changed"):
            spend(ledger, config(rounds=5), 2)


def test_a_cohort_below_quorum_is_refused_by_the_node() -> None:
    with pytest.raises(ConfigError, match="quorum"):
        spend_for(config(), 1, 1, [1, 2])
    with pytest.raises(ConfigError, match="not enrolled"):
        spend_for(config(), 1, 1, [1, 2, 9])


def test_simulated_runs_are_marked(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(seed=1), 1)
        assert next(ledger.entries()).body["insecure"] is True


@pytest.mark.parametrize("people", [[], ["a", "a"]])
def test_impossible_enrolments_are_refused(tmp_path: Path, people: list[str]) -> None:
    with open_ledger(tmp_path) as ledger, pytest.raises(InputError):
        spend(ledger, config(), 1, people=people)


def test_no_person_id_is_anywhere_on_disk(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        ledger.withdraw(PEOPLE[0])
    for path in tmp_path.iterdir():
        assert b"person-" not in path.read_bytes()
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077 or path.name.startswith("ledger.db-")


def test_people_cannot_be_linked_between_institutions(tmp_path: Path) -> None:
    for node in ("one", "two"):
        with open_ledger(tmp_path / node) as ledger:
            spend(ledger, config(), 1)
    bodies = []
    for node in ("one", "two"):
        with open_ledger(tmp_path / node) as ledger:
            bodies.append(next(ledger.entries()).body["enrolment"])
    assert bodies[0] != bodies[1]


def test_a_lost_person_key_is_not_silently_replaced(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
    (tmp_path / "person.key").unlink()
    with pytest.raises(InputError, match="missing"):
        open_ledger(tmp_path)


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
        open_ledger(tmp_path, origin="afml/test/node-2")
    with pytest.raises(IntegrityError):
        open_ledger(tmp_path, key=generate_signing_key())
    database = sqlite3.connect(tmp_path / "ledger.db")
    database.executescript("DROP TRIGGER entries_remain; DELETE FROM entries;")
    database.close()
    with pytest.raises(IntegrityError, match="signed head has 1"):
        open_ledger(tmp_path)


def test_two_handles_and_many_threads_make_one_chain(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path, clock=clock) as first, open_ledger(tmp_path, clock=clock) as second:
        run = config(rounds=40, z=50.0)
        handles = [first, second, first, second]

        def work(which: int) -> None:
            for round in range(1 + which, 41, 4):
                handles[which].append(spend_for(run, round, 1, [1, 2, 3]), PEOPLE)

        threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(entry.body["round"] for entry in first.entries()) == list(range(1, 41))  # type: ignore[type-var]
    with open_ledger(tmp_path) as ledger:
        assert len(ledger) == 40


def release(digest: str = "aa", k: int = 2) -> ReleaseRecord:
    return ReleaseRecord(run="run-1", file_digest=digest * 32, model_digest="bb" * 32, min_group_size=k)


def test_releases_intersect(tmp_path: Path) -> None:
    people = list("abcdefgh")
    halves = {p: "low" if p in "abcd" else "high" for p in people}
    with open_ledger(tmp_path) as ledger:
        ledger.record_release(release(k=4), halves)
        ledger.record_release(release("cc", k=4), halves)  # the same partition tells nothing new
        across = {p: "left" if p in "abef" else "right" for p in people}
        with pytest.raises(
            ReleaseError, match=r"smallest group together with 2 earlier releases .* has 2 people"
        ):
            ledger.record_release(release("dd", k=3), across)
        index = ledger.record_release(release("dd", k=2), across)
        body = list(ledger.entries())[index].body
        assert body["smallest_joint_group"] == 2
        assert body["earlier"] == [0, 1]
        # Somebody who was in no earlier file stands out from those who were.
        with pytest.raises(ReleaseError, match="has 1 people"):
            ledger.record_release(release("ee", k=2), {**halves, "new": "low"})
        # Other people: nothing to intersect.
        ledger.record_release(release("ff", k=2), {"x": "p", "y": "p"})


def test_a_release_leaves_withdrawn_people_out(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.withdraw("a")
        with pytest.raises(BudgetError, match="withdrawn"):
            ledger.record_release(release(), {"a": "p", "b": "p"})


def test_institutions_countersign_growth_and_refuse_forks_and_rollbacks(tmp_path: Path) -> None:
    other_key = generate_signing_key()
    name, peer = "afml/test/node-2", tmp_path / "peer"
    with open_ledger(tmp_path / "a") as ledger, open_ledger(peer, key=other_key, origin=name) as other:
        witness, own = Witness(other), Witness(ledger)
        for round in (1, 2, 3):
            spend(ledger, config(), round)
            note = ledger.checkpoint()
            line = witness.countersign(note, ledger.consistency(witness.seen(ORIGIN)), PUBLIC)
            own.accept(note, line, name, public_bytes(other_key))
        assert witness.seen(ORIGIN) == 3
        assert notes.countersigners(ledger.checkpoint(), {name: public_bytes(other_key)}) == [name]
        old = notes.sign(notes.Checkpoint(ORIGIN, 2, tree.root_of(ledger.leaves()[:2])), KEY)
        with pytest.raises(IntegrityError, match="does not extend"):
            witness.countersign(old, [], PUBLIC)
        fork = notes.sign(notes.Checkpoint(ORIGIN, 4, bytes(32)), KEY)
        with pytest.raises(IntegrityError, match="does not extend"):
            witness.countersign(fork, ledger.consistency(3), PUBLIC)
        with pytest.raises(IntegrityError, match="no signature"):
            witness.countersign(ledger.checkpoint(), [], public_bytes(other_key))
        with pytest.raises(IntegrityError):
            own.accept(fork, witness_line(fork, name, other_key), name, public_bytes(other_key))
    with open_ledger(tmp_path / "a") as ledger:
        assert len(ledger) == 3


def witness_line(note: str, name: str, key: object) -> str:
    return notes.cosign(note, name, key, 1)  # type: ignore[arg-type]
