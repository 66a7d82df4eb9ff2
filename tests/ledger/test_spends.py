"""What is spent, found by an index: the same as in a reading of the whole ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt
from afml.ledger.entries import spend_for
from afml.ledger.store import Ledger
from tests.ledger.helpers import PEOPLE, config, limits, open_ledger, reserve, spend

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
