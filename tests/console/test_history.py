"""Rounds that are over, from a file that grows; strips against a look at every round; what a budget allows yet."""

from __future__ import annotations

import datetime as dt
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from afml.console.access import SESSION_S, Access, Links
from afml.console.budgets import bars
from afml.console.history import Round, Transcript, stretches, took_part
from afml.consortium.attempt import Attempt
from afml.dossier.standalone import ends
from afml.ledger.summary import summarise
from tests.console import made


def line(number: int, cohort: list[int]) -> bytes:
    fields = {"round": number, "attempt": 1, "phase": "one", "cohort": cohort, "time_ms": 1000 * number * number}
    return json.dumps(fields).encode() + b"\n"


def test_a_transcript_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    reader = Transcript(path)
    assert reader.rounds() == ()
    path.write_bytes(line(1, [2, 1]) + b'{"order": {}, "time_ms": 1}\n' + b"damaged\n" + line(2, [1])[:20])
    assert [(one.attempt, one.cohort, one.seconds) for one in reader.rounds()] == [(Attempt(1, 1), (1, 2), None)]
    with path.open("ab") as file:
        file.write(line(2, [1])[20:])
    assert [(one.attempt.round, one.seconds) for one in reader.rounds()] == [(1, None), (2, 3.0)]
    path.write_bytes(line(7, [3]))  # another run's, shorter
    assert [one.attempt.round for one in reader.rounds()] == [7]


@given(st.lists(st.sets(st.integers(1, 4)), max_size=30))
def test_strips_are_the_rounds(cohorts: list[set[int]]) -> None:
    rounds = [Round(Attempt(i + 1, 1), "one", tuple(sorted(cohort)), 0.0, None) for i, cohort in enumerate(cohorts)]
    for node in range(1, 5):
        there = [place for first, length in stretches(rounds, node) for place in range(first, first + length)]
        assert there == [place for place, cohort in enumerate(cohorts) if node in cohort]
        ends = [first + length for first, length in stretches(rounds, node)]
        assert all(first > end for end, (first, _) in zip(ends, stretches(rounds, node)[1:], strict=False))
        assert took_part(rounds).get(node, 0) == len(there)


def test_a_budget_is_drawn_and_projected_in_squares(site: Path) -> None:
    summary = summarise(site / "work" / "ledger")
    (bar,) = bars(summary)
    spent = 0.2**2 + 0.35**2 + 0.4**2 * 11 / 30
    assert abs(bar.spent - spent / 0.81) < 1e-6
    assert abs(bar.reserved - 0.4**2 * 19 / 30 / 0.81) < 1e-6
    left = 0.81 - 0.2**2 - 0.35**2 - 0.4**2
    assert bar.projected is not None
    assert abs(bar.projected.last - 0.4) < 1e-6
    assert bar.projected.like_last == int(left / 0.4**2)
    assert bar.enrolment.total is not None
    times = sorted(dt.datetime.fromisoformat(line.time) for run in bar.enrolment.runs for line in run.rounds)
    first, last = (int(1000 * time.timestamp()) for time in (times[0], times[-1]))
    at = ends(0.9, bar.enrolment.total.sigma, first, last)  # the rule that a dossier's verifier computes again
    assert at is not None
    assert bar.projected.ends == dt.datetime.fromtimestamp(at / 1000, dt.UTC).date().isoformat()


def test_a_session_ends_by_itself_and_a_link_with_its_use() -> None:
    told: list[str] = []
    now = [0.0]
    links = Links(told.append)
    links.begin()
    access = Access(links, lambda: now[0])
    cookie = access.enter(told[-1])
    assert cookie is not None
    assert access.enter(told[0]) is None
    now[0] = SESSION_S - 1
    session = access.session(cookie)
    assert session is not None
    assert not session.vouches("")
    assert session.vouches(session.csrf)
    now[0] = SESSION_S
    assert access.session(cookie) is None


def test_rounds_are_counted_once_whoever_asks_beside(tmp_path: Path) -> None:
    made.aggregator(tmp_path)
    path = next(tmp_path.rglob("transcript.jsonl"))
    alone = Transcript(path).rounds()
    assert len(alone) > 20
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        for _ in range(200):
            together = Transcript(path)
            with ThreadPoolExecutor(4) as pool:
                for one in [pool.submit(together.rounds) for _ in range(4)]:
                    assert one.result() == alone
    finally:
        sys.setswitchinterval(before)
