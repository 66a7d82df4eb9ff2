"""What a node hears of its run: the newest state, over restarts of the aggregator, and quietly once the run is over."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest

from afml.core.errors import AfmlError, TransportError
from afml.core.progress import Event, Tell, untold
from afml.wire import federation_pb2 as wire
from node.announcements import Announcements
from node.patience import Patience


class Away(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Stream:
    """Connections, each a list of states that ends with an error or in order."""

    def __init__(self, *connections: list[object]) -> None:
        self.connections = queue.Queue[list[object]]()
        for connection in connections:
            self.connections.put(connection)

    def __call__(self) -> Iterator[wire.RunState]:
        for item in self.connections.get():
            if isinstance(item, Exception):
                raise item
            assert isinstance(item, wire.RunState)
            yield item


def _state(attempt: int) -> wire.RunState:
    return wire.RunState(stage=wire.STAGE_OPEN, round=1, attempt=attempt)


def _announcements(stream: Stream, patience_s: float = 60.0, tell: Tell = untold) -> Announcements:
    def translate(error: grpc.RpcError) -> AfmlError:
        return TransportError(f"status {error.code().name}")

    return Announcements(stream, Patience("aggregator:7443", patience_s, tell), translate)


def test_a_busy_node_sees_only_the_newest_state() -> None:
    denied = Away(grpc.StatusCode.PERMISSION_DENIED)
    news = _announcements(Stream([*map(_state, range(1, 50)), denied]))
    with news._news:
        news._news.wait_for(lambda: news._error is not None, timeout=10)
    states = iter(news)
    assert next(states).attempt == 49
    assert news.latest is not None
    assert news.latest.attempt == 49
    with pytest.raises(TransportError, match="PERMISSION_DENIED"):
        next(states)


def test_a_restart_of_the_aggregator_is_waited_for() -> None:
    stream = Stream([_state(1), Away(grpc.StatusCode.UNAVAILABLE)], [_state(2)], [_state(3)])
    states = iter(_announcements(stream))
    seen = {next(states).attempt}
    while 3 not in seen:
        seen.add(next(states).attempt)
    assert seen <= {1, 2, 3}


@pytest.mark.parametrize("stage", [wire.STAGE_OPEN, wire.STAGE_FINISHED, wire.STAGE_FAILED])
def test_nobody_waits_aloud_for_an_aggregator_that_has_ended_in_order(stage: wire.Stage.ValueType) -> None:
    last, told = wire.RunState(stage=stage, round=1, attempt=1), list[Event]()
    away = Away(grpc.StatusCode.UNAVAILABLE)
    states = iter(_announcements(Stream([last, away], *[[away]] * 50), patience_s=0.1, tell=told.append))
    with pytest.raises(TransportError, match="no aggregator answers"):
        for _ in states:
            pass
    assert bool(told) == (stage == wire.STAGE_OPEN)


def test_an_aggregator_that_stays_away_is_given_up() -> None:
    away = [Away(grpc.StatusCode.UNAVAILABLE)]
    with pytest.raises(TransportError, match="UNAVAILABLE"):
        next(iter(_announcements(Stream(*[away] * 50), patience_s=0.1)))
