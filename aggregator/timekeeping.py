"""Lets the deadlines of a run pass."""

from __future__ import annotations

import asyncio

from aggregator.engine import Engine
from aggregator.publishing import Publisher
from aggregator.watchers import Watchers

TICK_S = 0.2
"""Seconds between looks at the clock."""


async def keep_time(engine: Engine, publisher: Publisher, watchers: Watchers) -> None:
    """Act on deadlines until the run is settled.

    Raises:
        Exception: Whatever ended a sum, a full disk for one: a restart resumes it.
    """
    publisher.resume()
    while not engine.settled():
        await asyncio.sleep(TICK_S)
        publisher.raise_failures()
        before = engine.version
        engine.tick()
        if engine.version != before:
            await watchers.notify()
