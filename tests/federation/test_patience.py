"""How long a node waits, how often it knocks, and what it says meanwhile."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium import connection
from afml.core.errors import Stopped, TransportError
from afml.core.progress import Event
from node.patience import PATIENCE_S, Patience, next_note, pause_after

DAY = 86_400.0
LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ no answer from aggregator there:7443 \(Connection refused\); "
    r"(away for .+, )?waiting for .+ at most"
)


class _Clock(threading.Event):
    """A clock that waiting moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.waits = 1000.0, 0

    def wait(self, timeout: float | None = None) -> bool:
        self.time += timeout or 0.0
        self.waits += 1
        return self.is_set()


@dataclass
class _Node:
    limit_s: float = PATIENCE_S
    clock: _Clock = field(default_factory=_Clock)
    told: list[str] = field(default_factory=list)

    def patience(self, **changes: Any) -> Patience:
        def tell(event: Event) -> None:
            self.told.append(event.text)

        reason = changes.pop("reason", lambda: "Connection refused")
        return Patience(
            "there:7443", self.limit_s, tell, reason=reason, stop=self.clock, now=lambda: self.clock.time, **changes
        )


def test_a_weekend_is_waited_out_in_few_lines() -> None:
    node = _Node()
    patience, began = node.patience(), node.clock.time
    while node.clock.time < began + 2 * DAY:
        patience.endure("status UNAVAILABLE")
    assert all(LINE.fullmatch(line) for line in node.told), node.told
    assert 48 <= len(node.told) <= 60, "about one an hour"
    assert node.clock.waits > 2 * DAY / connection.MOST_PAUSE_S, "and it looks every ten seconds"
    patience.answered()
    assert node.told[-1].endswith("aggregator there:7443 is back")
    told = len(node.told)
    patience.answered()
    assert len(node.told) == told


def test_a_blink_is_a_line_and_no_more() -> None:
    node = _Node()
    patience = node.patience()
    patience.endure("status UNAVAILABLE")
    patience.endure("status UNAVAILABLE")
    patience.answered()
    assert len(node.told) == 1


def test_an_absence_longer_than_the_operator_waits_is_an_error_that_says_why() -> None:
    node = _Node(limit_s=30.0)
    patience = node.patience()
    with pytest.raises(TransportError, match=r"there:7443: no aggregator answers \(Connection refused\); start `afml"):
        for _ in range(1000):
            patience.endure("status UNAVAILABLE")
    assert 1030.0 <= node.clock.time <= 1041.0


def test_two_absences_are_not_one() -> None:
    node = _Node(limit_s=30.0)
    patience = node.patience()
    for _ in range(20):
        began = node.clock.time
        while node.clock.time < began + 20:
            patience.endure("status UNAVAILABLE")
        patience.answered()


def test_what_gRPC_says_is_told_where_nothing_better_is_known() -> None:
    node = _Node()
    node.patience(reason=lambda: "").endure("Stream\x1b[2J removed")
    assert "(Stream\\x1b[2J removed)" in node.told[0]


def test_a_node_that_is_to_stop_stops_waiting() -> None:
    node = _Node()
    patience = node.patience()
    node.clock.set()
    with pytest.raises(Stopped):
        patience.endure("status UNAVAILABLE")
    assert Stopped("").exit_code == 0


def test_last_words_are_not_said_for_days() -> None:
    node = _Node()
    patience = node.patience()
    patience.at_most(60.0)
    patience.at_most(3600.0)
    with pytest.raises(TransportError):
        for _ in range(1000):
            patience.endure("status UNAVAILABLE")
    assert node.clock.time <= 1000.0 + 60.0 + connection.MOST_PAUSE_S


@given(st.floats(0, 100 * DAY))
def test_pauses_and_notes_are_bounded(away: float) -> None:
    assert 0 < pause_after(away) <= connection.MOST_PAUSE_S
    assert away + 7.5 <= next_note(away) <= away + 3600.0 or next_note(away) == 10.0


def test_both_ends_agree_on_what_is_too_many_pings() -> None:
    node, aggregator = dict(connection.NODE), dict(connection.AGGREGATOR)
    for side in (node, aggregator):
        assert side["grpc.keepalive_permit_without_calls"] == 1
        assert side["grpc.http2.max_pings_without_data"] == 0
        assert side["grpc.keepalive_time_ms"] < 60_000, "routers forget a connection that is silent for a minute"
    assert aggregator["grpc.http2.min_ping_interval_without_data_ms"] < node["grpc.keepalive_time_ms"]
    assert node["grpc.max_reconnect_backoff_ms"] <= 10_000
