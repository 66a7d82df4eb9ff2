"""Time that passes when nobody has anything to do: an event loop that never waits, and runs one thing at a time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

EPOCH_S = 1_790_000_000.0
"""What the wall clock shows when a history begins, Unix seconds."""


class NobodyActs(Exception):
    """Everybody waits for something that will never come."""


class _Skipping(selectors.SelectSelector):
    """Instead of waiting, puts the clock on."""

    skip: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NobodyActs
        if timeout > 0:
            self.skip(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Deterministic: what is ready runs in order, on one thread; threads of `asyncio.to_thread` are run on the spot."""

    def __init__(self) -> None:
        selector = _Skipping()
        self._passed = 0.0
        super().__init__(selector)
        selector.skip = self._skip

    def time(self) -> float:
        """Seconds since the history began."""
        return self._passed

    def _skip(self, seconds: float) -> None:
        self._passed += seconds + 1e-6  # never a little short of the timer that is next

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run `func` here and now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - whatever ends it ends who waits for it
            future.set_exception(error)
        return future


class Clock:
    """What a process of the simulation finds under the name of the module `time`.

    Args:
        loop: Whose time it is.
        ahead_s: Seconds that this machine's wall clock is ahead.
    """

    def __init__(self, loop: SimulatedLoop, ahead_s: Callable[[], float]) -> None:
        self._loop, self._ahead_s = loop, ahead_s

    def monotonic(self) -> float:
        """Seconds."""
        return self._loop.time()

    def time(self) -> float:
        """Unix seconds, as this machine believes."""
        return EPOCH_S + self._loop.time() + self._ahead_s()

    def time_ns(self) -> int:
        """Unix nanoseconds, likewise."""
        return int(self.time() * 1e9)
