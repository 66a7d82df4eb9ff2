"""The run's announcements, newest first: a node that was busy must not act on what is long past."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any

import grpc

from afml.consortium.stage import Stage
from afml.core.errors import AfmlError, TransportError
from afml.wire import federation_pb2 as wire
from node.patience import Patience

_LOOK_S = 0.5


class Announcements:
    """Follows `WatchRun` in a thread of its own and keeps the newest state only.

    States pile up in the connection while a node trains. Taken one by one they would lead it to spend on
    attempts that were given up meanwhile.

    Args:
        watch: Opens the stream.
        patience: How long the aggregator may be away.
        translate: Makes an error of ours from a gRPC error.
        away: Statuses of an aggregator that is away.
        gone: Why the aggregator at the other end does not count any more, "" where it does; its announcements end.
        identity: What this node shows of itself; where that is another one by now, they are asked for anew.
    """

    def __init__(
        self,
        watch: Callable[[], Iterator[wire.RunState]],
        patience: Patience,
        translate: Callable[[grpc.RpcError], AfmlError],
        away: Collection[grpc.StatusCode] = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED),
        gone: Callable[[], str] = lambda: "",
        identity: Callable[[], object] = lambda: None,
    ) -> None:
        self._watch, self._patience, self._translate, self._away = watch, patience, translate, away
        self._gone, self._identity, self._shown = gone, identity, identity()
        self._stream: Any = None
        self._news = threading.Condition()
        self._latest: wire.RunState | None = None
        self._count = 0
        self._error: AfmlError | None = None
        threading.Thread(target=self._follow, name="announcements", daemon=True).start()

    @property
    def latest(self) -> wire.RunState | None:
        """The newest state, None before the first."""
        with self._news:
            return self._latest

    def __iter__(self) -> Iterator[wire.RunState]:
        """Wait for a state newer than the last one taken; ends never, except by an error.

        Raises:
            AfmlError: The aggregator stayed away, or refused.
            Stopped: This node is to stop.
        """
        taken = 0
        while True:
            with self._news:
                while self._latest is None or self._count == taken:
                    if self._error is not None:
                        raise self._error
                    self._patience.require_wanted()
                    if self._stream is not None and (self._gone() or self._renewed):
                        self._stream.cancel()  # it may be silent for hours
                    self._news.wait(_LOOK_S)  # a signal to stop wakes nobody
                taken, state = self._count, self._latest
            yield state

    @property
    def _over(self) -> bool:
        """Whether the run has ended: then its aggregator ends in order; a call that still needs it says so itself."""
        latest = self.latest
        stage = None if latest is None else Stage.of(latest.stage)
        return stage is not None and stage.over

    @property
    def _renewed(self) -> bool:
        return self._identity() is not self._shown

    def _follow(self) -> None:
        while True:
            self._shown = self._identity()
            try:
                self._stream = self._watch()
                for state in self._stream:
                    if self._gone():
                        self._stream.cancel()
                        break
                    self._patience.answered()
                    with self._news:
                        self._latest, self._count = state, self._count + 1
                        self._news.notify_all()
                problem = self._gone() or "it was stopped"  # in order, perhaps to be started again
            except grpc.RpcError as error:
                translated = self._translate(error)
                if error.code() not in self._away:
                    return self._end(translated)
                problem = self._gone() or translated.problem
            except ValueError:  # the channel was closed: this node is done
                return self._end(TransportError("the connection was closed"))
            if self._renewed:  # it ended for that, by this node or by an aggregator that met the later certificate
                continue
            try:
                self._patience.endure(problem, told=not self._over)
            except AfmlError as ended:
                return self._end(ended)

    def _end(self, error: AfmlError) -> None:
        with self._news:
            self._error = error
            self._news.notify_all()
