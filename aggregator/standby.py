"""Serving from a store that another process may have: standing by until it is there, and when it is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from afml.core.errors import TransportError
from afml.core.logging import get_logger
from aggregator.port import Stop
from aggregator.store.base import Lost, Taken

_MOST_PAUSE_S = 10.0
"""Seconds between two tries to reach a database that is away, at most."""


class _Closing(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closing)
Answer = TypeVar("Answer")


async def in_turns(open_one: Callable[[], Opened], serve: Callable[[Opened, Stop], Awaitable[Answer]]) -> Answer | None:
    """Serve whenever the store is this process's, until that ends by itself or a signal comes.

    Args:
        open_one: Opens the store.
        serve: Serves from it.

    Returns:
        What `serve` returned; None where a signal came while this process stood by.

    Raises:
        TransportError: No database answers at the beginning; later it is waited for.
        Exception: Whatever ended `serve`.
    """
    stop, again = Stop(), False
    while (opened := await _opened(open_one, stop, again)) is not None:
        with contextlib.closing(opened):
            try:
                return await serve(opened, stop)
            except Lost as error:
                get_logger().warning("standing by", problem=str(error.strerror))
        again = True
    return None


async def _opened(open_one: Callable[[], Opened], stop: Stop, again: bool) -> Opened | None:
    since, told = time.monotonic(), again
    while not stop.asked:
        try:
            return open_one()
        except Taken:
            if not told:
                problem = "another aggregator serves from this database; this one takes over when that one is gone"
                get_logger().warning("standing by", problem=problem)
                told = True
            await stop.within(0.1)
        except (TransportError, Lost):
            if not again:
                raise
            await stop.within(min(_MOST_PAUSE_S, (time.monotonic() - since) / 4))
    return None
