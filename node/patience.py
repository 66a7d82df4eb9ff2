"""How long a node waits for an aggregator that is away, and what it says meanwhile."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable

from afml.consortium.connection import MOST_PAUSE_S
from afml.core.errors import Stopped, TransportError
from afml.core.plain import plain_line
from afml.core.progress import Event, Tell, untold

PATIENCE_S = 7 * 86_400.0
"""Seconds, where the operator says nothing: an outage of a weekend ends no run."""
_FIRST_NOTE_S, _RAREST_NOTE_S = 10.0, 3600.0
_LEAST_PAUSE_S = 0.2


def pause_after(away_s: float) -> float:
    """Seconds to the next try after `away_s` seconds of absence: a quarter of it, within bounds."""
    return min(MOST_PAUSE_S, max(_LEAST_PAUSE_S, away_s / 4))


def next_note(away_s: float) -> float:
    """Seconds of absence at which it is spoken of again: after 10, 40, 160, ..., then every hour."""
    return max(_FIRST_NOTE_S, away_s + min(_RAREST_NOTE_S, 3 * away_s))


def utc_now() -> str:
    """The time as a line for people begins with it."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%SZ}"


class Patience:
    """One absence of the aggregator at a time, shared by all threads of a node that call it.

    Args:
        address: The aggregator's host:port.
        limit_s: Seconds that it may be away.
        tell: Told of an absence, ever more rarely: one line with time, address and reason; and of its end.
        reason: Finds out why nobody answers, "" where it cannot tell; asked before something is told.
        stop: Set when this node is to stop: every wait ends.
        now: A monotonic clock, in seconds.

    Attributes:
        missed: Called whenever a call was not answered.
    """

    def __init__(
        self,
        address: str,
        limit_s: float = PATIENCE_S,
        tell: Tell = untold,
        *,
        reason: Callable[[], str] = lambda: "",
        stop: threading.Event | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._limit, self._tell, self._reason, self._now = address, limit_s, tell, reason, now
        self.stop = stop or threading.Event()
        self.missed: Callable[[], None] = lambda: None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._since: float | None = None
        self._note = 0.0

    def endure(self, problem: str, *, told: bool = True) -> None:
        """A call was not answered: wait for the next try.

        Args:
            problem: What the call met, shown where `reason` knows no better.
            told: Whether it is worth a word: somebody waits for the answer.

        Raises:
            TransportError: The aggregator has been away for longer than this node waits, or this node is done.
            Stopped: This node is to stop.
        """
        self.missed()
        with self._lock:
            if self._since is None:
                self._since, self._note = self._now(), 0.0
            away = self._now() - self._since
            telling = told and away >= self._note
            if telling:
                self._note = next_note(away)
        if away >= self._limit or self._closed.is_set():
            raise self._given_up(self._reason() or problem)
        if telling:
            self._say(away, self._reason() or problem)
        pause = pause_after(away) * random.uniform(0.5, 1.0)  # nodes do not all knock at once
        self.stop.wait(min(pause, max(self._limit - away, _LEAST_PAUSE_S)))
        self.require_wanted()

    def answered(self) -> None:
        """The aggregator is there."""
        with self._lock:
            since, told, self._since = self._since, self._note > _FIRST_NOTE_S, None
        if since is not None and told:
            self._tell(Event("waiting", text=f"{utc_now()} aggregator {self._address} is back"))

    def remark(self, text: str) -> None:
        """Tell something else that this node waits for: one line with the time."""
        self._tell(Event("waiting", text=f"{utc_now()} {plain_line(text)}"))

    def at_most(self, limit_s: float) -> None:
        """From now on wait no longer than this: what is still to be said can be done without."""
        self._limit = min(self._limit, limit_s)

    def end(self) -> None:
        """This node needs the aggregator no more."""
        self._closed.set()

    def require_wanted(self) -> None:
        """Go on only where this node is not to stop.

        Raises:
            Stopped: It is.
        """
        if self.stop.is_set():
            raise Stopped("stopped as it was asked to", cure="start it again and it goes on where it stands")

    def _say(self, away: float, problem: str) -> None:
        left = dt.timedelta(seconds=round(max(0.0, self._limit - away)))
        gone = f"away for {dt.timedelta(seconds=round(away))}, " if away >= 1 else ""
        text = f"{utc_now()} no answer from aggregator {self._address} ({plain_line(problem)[:160]}); {gone}"
        self._tell(Event("waiting", text=f"{text}waiting for {left} at most"))

    def _given_up(self, problem: str) -> TransportError:
        return TransportError(
            f"no aggregator answers ({plain_line(problem)[:160]})",
            where=self._address,
            cure="start `afml aggregator` there first, or correct --aggregator; nodes pick the run up where it stood",
        )
