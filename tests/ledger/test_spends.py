"""What is spent, found by an index: the same as in a reading of the whole ledger."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt
from afml.ledger.entries import spend_for
from afml.ledger.store import Ledger
from tests.ledger.helpers import PEOPLE, Clock, config, limits, open_ledger, reserve, spend

Cohorts = dict[Attempt, tuple[int, ...]]


def slow_spends(ledger: Ledger, run: str, rounds: range) -> Cohorts:
    found: Cohorts = {}
    for entry in ledger.entries():
        body = entry.body
        if entry.kind == "spend" and body["run"] == run and body["round"] in rounds:
            found[Attempt(body["round"], body["attempt"])] = tuple(body["cohort"])  # type: ignore[arg-type]
    return found


attempts = st.sets(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=10
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(attempts, st.permutations([1, 2, 3]), st.integers(1, 5), st.integers(1, 6))
def test_spends_against_a_reading_of_every_entry(
    tmp_path_factory: pytest.TempPathFactory, chosen: set[tuple[str, int, int]], out: list[int], first: int, stop: int
) -> None:
    with open_ledger(tmp_path_factory.mktemp("ledger")) as ledger:
        ledger.withdraw(["somebody"])
        for place, (run, *attempt) in enumerate(sorted(chosen)):
            cohort = [1, 2, 3] if place % 2 else sorted(out[:2])
            made = config(run, quorum=2, max_colluding=0, rounds=4, reserve_attempts=8)
            reserve(ledger, made)
            ledger.append(spend_for(made, Attempt(*attempt), cohort), PEOPLE, limits(made))
        for run in ("a", "b", "c"):
            rounds = range(first, stop)
            assert ledger.spends(run, rounds) == slow_spends(ledger, run, rounds)
            assert ledger.spends(run, range(1, 5)) == slow_spends(ledger, run, range(1, 5))


def test_spends_come_in_order_and_cost_no_reading_of_other_entries(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        for round in (2, 1):
            for attempt in (2, 1):
                spend(ledger, config(), round, attempt)
        assert list(ledger.spends("run-1", range(1, 3))) == [(1, 1), (1, 2), (2, 1), (2, 2)]
        asked: list[str] = []
        ledger.database.set_trace_callback(asked.append)
        ledger.spends("run-1", range(1, 2))
        ledger.database.set_trace_callback(None)
        (plan,) = ledger.database.execute("EXPLAIN QUERY PLAN " + asked[0]).fetchall()
        assert "USING INDEX spend_once (run=? AND round>? AND round<?)" in plan[3]


def slow_sums(ledger: Ledger) -> dict[tuple[object, ...], tuple[int, int]]:
    """Steps and first entry of each mechanism of an enrolment in a run, by one query over all of the ledger."""
    rows = ledger.database.execute("""
        SELECT enrolment, run, plan, mechanism, broken_multiplier, count(*), min(idx) FROM entries
        WHERE kind = 'spend' GROUP BY enrolment, run, plan, mechanism, broken_multiplier
    """)
    return {row[:5]: row[5:] for row in rows}


class Undone(Exception):
    """A transaction comes to nothing."""


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_what_was_read_on_adds_up_to_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, bool, bool]]
) -> None:
    """Also after a transaction in which it was read and that came to nothing."""
    folder = tmp_path_factory.mktemp("ledger")
    clock = Clock()
    with open_ledger(folder, clock=clock) as ledger, open_ledger(folder, clock=clock) as other:
        runs = {name: config(name, rounds=30, z=100.0 + ord(name)) for name in "ab"}
        for run in runs.values():
            reserve(ledger, run)
        rounds = {"a": 0, "b": 0}
        for name, comes_to_nothing, elsewhere in history:
            writer = other if elsewhere else ledger
            with contextlib.suppress(Undone), writer.transaction():
                spend(writer, runs[name], rounds[name] + 1)
                assert {tuple(of): (count, first) for of, count, first in writer.plans.spent.of(writer.database)} == (
                    slow_sums(writer)
                )
                if comes_to_nothing:
                    raise Undone
                rounds[name] += 1
            for one in (ledger, other):
                found = {tuple(of): (count, first) for of, count, first in one.plans.spent.of(one.database)}
                assert found == slow_sums(one)
        assert sum(count for count, _ in slow_sums(ledger).values()) == sum(rounds.values())
