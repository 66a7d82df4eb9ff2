"""Who is enrolled, who has withdrawn, and that nobody outside can tell who."""

from __future__ import annotations

import math
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.core.errors import BudgetError, InputError, IntegrityError
from afml.ledger.enrolled import enrolled_in
from tests.ledger.helpers import LIFETIME, PEOPLE, config, open_ledger, sigma, spend


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
def test_spend_per_person_against_a_slow_count(tmp_path_factory: pytest.TempPathFactory, sets: list[set[str]]) -> None:
    with open_ledger(tmp_path_factory.mktemp("ledger")) as ledger:
        for number, people in enumerate(sets):
            run = config(f"run-{number}", z=3.0, budget=LIFETIME)
            spend(ledger, run, 1, people=sorted(people))
        for person in "abcdef":
            count = sum(person in people for people in sets)
            assert sigma(ledger, [person]) == pytest.approx(math.sqrt(count) / 3)
        most = max(sum(p in people for people in sets) for p in "abcdef")
        assert sigma(ledger, list("abcdef")) == pytest.approx(math.sqrt(most) / 3)


def test_withdrawn_people_leave_future_events_and_their_spend_stays(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a"), 1)
        ledger.withdraw([PEOPLE[3]])
        ledger.withdraw([PEOPLE[3]])
        assert len(ledger) == 3
        with pytest.raises(BudgetError, match="1 of 12 people have withdrawn"):
            spend(ledger, config("b"), 1)
        left = ledger.enrollable(PEOPLE)
        assert left == [p for p in PEOPLE if p != PEOPLE[3]]
        spend(ledger, config("b"), 1, people=left)
        assert sigma(ledger, [PEOPLE[3]]) == pytest.approx(1 / 8)
        assert sigma(ledger, left) == pytest.approx(math.sqrt(2) / 8)


@pytest.mark.parametrize("people", [[], ["a", "a"]])
def test_impossible_enrolments_are_refused(tmp_path: Path, people: list[str]) -> None:
    with open_ledger(tmp_path) as ledger, pytest.raises(InputError):
        spend(ledger, config(), 1, people=people)


def test_no_person_id_is_anywhere_on_disk(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config(), 1)
        ledger.withdraw([PEOPLE[0]])
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


def test_who_took_part_in_a_run_is_asked_by_name(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise([("ann", [b"1"]), ("bob", [b"2"])])
        spend(ledger, config("a"), 1, people=["ann", "bob"])
        ledger.withdraw(["bob"])
        spend(ledger, config("b"), 1, people=["cem"])
        ledger.recognise([("anna", [b"1"]), ("cem", [b"3"])])
    names = ["cem", "bob", "anna", "ann", "new"]
    assert enrolled_in(tmp_path, "a", names).tolist() == [False, True, True, True, False]
    assert enrolled_in(tmp_path, "b", names).tolist() == [True, False, False, False, False]
    assert enrolled_in(tmp_path, "b", []).tolist() == []
    with pytest.raises(InputError, match="knows nothing of run c"):
        enrolled_in(tmp_path, "c", names)


def test_members_that_an_enrolment_does_not_commit_to_are_not_believed(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, config("a"), 1, people=["ann", "bob"])
        ledger.database.execute("DELETE FROM enrolled WHERE person = (SELECT min(person) FROM enrolled)")
    with pytest.raises(IntegrityError, match="not those that its entries commit to"):
        enrolled_in(tmp_path, "a", ["ann", "bob"])
