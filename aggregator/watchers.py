"""Those who wait for news of the run: streams of announcements, and nodes that look out for a letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watchers:
    """Wakes whoever waits.

    Attributes:
        closing: The aggregator is about to stop: streams of announcements end.
    """

    def __init__(self) -> None:
        self._news = asyncio.Condition()
        self.closing = False

    async def notify(self) -> None:
        """There is news: everybody looks whether it is what they wait for."""
        async with self._news:
            self._news.notify_all()

    async def until(self, there: Callable[[], bool]) -> None:
        """Wait until `there` holds; it is asked again whenever there is news."""
        async with self._news:
            await self._news.wait_for(there)

    async def within(self, seconds: float, there: Callable[[], bool]) -> bool:
        """Wait until `there` holds, so long at most; whether it does."""
        try:
            async with asyncio.timeout(seconds):
                await self.until(there)
        except TimeoutError:
            return there()
        return True

    async def close(self) -> None:
        """End every stream of announcements in order; nodes that still need this run look for it again."""
        self.closing = True
        await self.notify()
