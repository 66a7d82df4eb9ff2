"""The run's announcements, newest first: a node that was busy must not act on what is long past."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import grpc

from afml.core.errors import AfmlError, TransportError
from afml.wire import federation_pb2 as wire

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Announcements:
    """Follows `WatchRun` in a thread of its own and keeps the newest state only.

    States pile up in the connection while a node trains. Taken one by one they would lead it to spend on
    attempts that were given up meanwhile.

    Args:
        watch: Opens the stream.
        patience_s: Seconds that the aggregator may be away.
        translate: Makes an error of ours from a gRPC error.
    """

    def __init__(
        self,
        watch: Callable[[], Iterator[wire.RunState]],
        patience_s: float,
        translate: Callable[[grpc.RpcError], AfmlError],
    ) -> None:
        self._watch, self._patience, self._translate = watch, patience_s, translate
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
        """
        taken = 0
        while True:
            with self._news:
                while self._latest is None or self._count == taken:
                    if self._error is not None:
                        raise self._error
                    self._news.wait()
                taken, state = self._count, self._latest
            yield state

    def _follow(self) -> None:
        lost_since: float | None = None
        while True:
            try:
                for state in self._watch():
                    lost_since = None
                    with self._news:
                        self._latest, self._count = state, self._count + 1
                        self._news.notify_all()
                problem: AfmlError = TransportError("the aggregator was stopped and did not come back")
                away = True  # it ended the stream in order: stopped, perhaps to be started again
            except grpc.RpcError as error:
                problem, away = self._translate(error), error.code() in _AWAY
            except ValueError:  # the channel was closed: this node is done
                return self._end(TransportError("the connection was closed"))
            lost_since = lost_since or time.monotonic()
            if not away or time.monotonic() - lost_since > self._patience:
                return self._end(problem)
            time.sleep(0.3)

    def _end(self, error: AfmlError) -> None:
        with self._news:
            self._error = error
            self._news.notify_all()
