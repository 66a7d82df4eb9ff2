"""Lets the deadlines of a run pass, has orders followed, and says now and then whom the run waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from afml.core.logging import get_logger
from aggregator.engine import Engine
from aggregator.orders import Orders
from aggregator.publishing import Publisher
from aggregator.run import ServedRun
from aggregator.store.base import Lost
from aggregator.waiting import awaited
from aggregator.watchers import Watchers

TICK_S = 0.2
"""Seconds between looks at the clock."""
REMINDER_S = 600.0
"""Seconds in one stage after which the log names who is awaited, again and again."""


async def keep_time(run: ServedRun, engine: Engine, publisher: Publisher, watchers: Watchers, orders: Orders) -> None:
    """Act on deadlines and orders until the run is settled.

    Raises:
        Exception: Whatever ended a sum, a full disk for one: a restart resumes it.
    """
    publisher.resume()
    engine.letter_came()  # the power may have gone between a letter and what it decides
    spoken, seen = time.monotonic(), engine.version
    while not engine.settled():
        await asyncio.sleep(TICK_S)
        publisher.raise_failures()
        before = engine.version
        for act in (orders.follow, engine.tick):
            _try(act)
        if engine.version != seen:
            seen = engine.version
            publisher.clear_uploads()  # an attempt may have been given up
        if engine.version != before:
            spoken = time.monotonic()
            await watchers.notify()
        elif time.monotonic() - spoken > REMINDER_S:
            spoken = time.monotonic()
            _remind(run)


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except Lost:
        raise
    except OSError as error:  # no space: nothing of it is decided, and it is tried again at the next look
        get_logger().error("cannot be kept", problem=error.strerror or str(error))


def _remind(run: ServedRun) -> None:
    at, names = run.store.position(), run.roster.names
    waiting = ", ".join(f"{node} ({names[node]})" for node in awaited(run.store, run.config)) or "nobody"
    get_logger().info(
        "waiting", run=run.config.run, state=at.stage, round=at.attempt.round, problem=f"for nodes {waiting}"
    )
