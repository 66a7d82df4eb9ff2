"""How many streams of each kind a node has open at a time, and how long one may be silent.

The newest stand: what is left of a broken connection is the older one, and nobody is there to end it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from enum import StrEnum
from typing import TypeVar

from afml.consortium import limits
from afml.core.errors import Superseded, TransportError

Part = TypeVar("Part")


class Kind(StrEnum):
    """What a stream is for."""

    UPDATE = "update"
    LETTER = "letter"
    SUM = "sum"
    NEWS = "news"
    MAIL = "mail"


MOST = {
    Kind.UPDATE: limits.UPDATES_AT_ONCE,
    Kind.LETTER: limits.LETTERS_AT_ONCE,
    Kind.SUM: limits.SUMS_AT_ONCE,
    Kind.NEWS: limits.FOLLOWED_AT_ONCE,
    Kind.MAIL: limits.AWAITED_AT_ONCE,
}
"""Streams of one node."""


GRACE_S = 0.5
"""Seconds in which a stream ends by itself once a newer one has taken its place."""


class Turn:
    """One stream of a node, in the task that made it.

    Attributes:
        over: It has to end, for a newer one.
    """

    def __init__(self, node: int, kind: Kind, silence_s: float) -> None:
        self._who, self._silence_s = f"node {node}", silence_s
        self._what = kind
        self._scope: asyncio.Timeout | None = None
        self._task = asyncio.current_task()
        self._last: asyncio.TimerHandle | None = None
        self.over = False

    def end(self) -> None:
        """A newer stream takes its place: it ends by itself, or is ended where the other end reads no more."""
        self.over = True
        loop = asyncio.get_running_loop()
        if self._scope is not None:
            self._scope.reschedule(loop.time())
        elif self._task is not None:
            self._last = loop.call_later(GRACE_S, self._task.cancel)

    def ended(self) -> None:
        """Nothing more is to be ended."""
        if self._last is not None:
            self._last.cancel()

    def heard(self) -> None:
        """The other end did something: its silence begins anew."""
        if self._scope is not None and not self.over:
            self._scope.reschedule(asyncio.get_running_loop().time() + self._silence_s)

    async def listening(self, parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
        """A stream from the other end, each part of which is heard."""
        async for part in parts:
            self.heard()
            yield part

    async def give(self, work: Awaitable[None]) -> None:
        """Do what the stream is for.

        Raises:
            Superseded: A newer one has taken its place.
            TransportError: The other end was silent for too long.
        """
        try:
            async with asyncio.timeout(self._silence_s) as self._scope:
                await work
        except TimeoutError:
            if self.over:
                raise Superseded(f"{self._who} has begun another {self._what}") from None
            if self._scope is None or not self._scope.expired():
                raise
            raise TransportError(f"{self._who} was silent for {self._silence_s:.0f} s") from None


class Turns:
    """The open streams of all nodes."""

    def __init__(self) -> None:
        self._silence_s = limits.SILENCE_S
        self._open: dict[tuple[int, Kind], list[Turn]] = {}

    @contextlib.contextmanager
    def taken(self, node: int, kind: Kind) -> Iterator[Turn]:
        """A stream of a node, the oldest of whose streams of this kind ends where they are too many."""
        mine, turn = self._open.setdefault((node, kind), []), Turn(node, kind, self._silence_s)
        mine.append(turn)
        if len(mine) > MOST[kind]:
            mine.pop(0).end()
        try:
            yield turn
        finally:
            turn.ended()
            with contextlib.suppress(ValueError):  # it has been ended
                mine.remove(turn)
