"""Logs say when, who, which run and round, and never fill a disk."""

from __future__ import annotations

import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from afml.core import logging
from afml.core.logging import Limit, at_round, at_run, configure, get_logger


def test_a_line_has_its_time_party_run_and_round(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        configure("node-2")
        at_run("trial")
        at_round(3)
        at_round(0)
        get_logger().warning("something", problem="a\nb", key=b"secret")
        get_logger().bind(run="other", round=1).info("something else")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
        logging._place.clear()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0] | {"timestamp": ""} == {
        "event": "something", "level": "warning", "party": "node-2", "run": "trial", "round": 3,
        "problem": r"a\nb", "timestamp": "",
    }  # fmt: skip
    assert lines[0]["timestamp"].endswith("Z")
    assert (lines[1]["run"], lines[1]["round"]) == ("other", 1)


class Flood:
    """A limit, a clock that only tests move, and what came through."""

    def __init__(self, most: int) -> None:
        self.time, self.limit = 0.0, Limit(most, lambda: self.time)

    def say(self, event: str, level: str = "warning", **fields: object) -> dict[str, object] | None:
        try:
            return dict(self.limit(None, level, {"event": event, **fields}))
        except structlog.DropEvent:
            return None


def test_what_is_said_too_often_is_counted() -> None:
    flood = Flood(most=3)
    assert [flood.say("rejected") is not None for _ in range(10)] == [True] * 3 + [False] * 7
    assert flood.say("published", "info") == {"event": "published"}  # another event has its own count
    assert flood.say("rejected", node=2) == {"event": "rejected", "node": 2}  # and another node
    flood.time = 60.0
    assert flood.say("rejected") == {"event": "rejected", "left_out": 7}
    assert flood.say("rejected") == {"event": "rejected"}


def test_errors_are_never_left_out() -> None:
    flood = Flood(most=1)
    assert all(flood.say("run failed", "error") for _ in range(50))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 50)), max_size=60), st.integers(1, 4))
def test_no_line_is_lost_uncounted(said: list[tuple[str, float]], most: int) -> None:
    """Of each event: lines that came through, and those that a later one counts, are all but the last minute's."""
    flood, came, told, left = Flood(most), {"a": 0, "b": 0}, {"a": 0, "b": 0}, {"a": 0, "b": 0}
    for event, pause in said:
        flood.time += pause
        line = flood.say(event)
        if line is None:
            left[event] += 1
            continue
        came[event] += 1
        assert line.get("left_out", 0) == left[event]
        told[event] += left[event]
        left[event] = 0
    for event in "ab":
        assert came[event] + told[event] + left[event] == sum(one == event for one, _ in said)
