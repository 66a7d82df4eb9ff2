"""Structured logs that cannot leak: only allow-listed fields, only plain scalars, pass through.

Every line has its time (UTC), its party and, once they are known, the run and the round. No event fills a disk: beyond
`MOST` lines of one event (and of one node) in a minute, lines below an error are counted, and the next one that is
written says how many were left out.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from afml.core.plain import plain_line

ALLOWED = frozenset(
    [
        "event",
        "level",
        "timestamp",
        "logger",
        "party",
        "node",
        "peer",
        "run",
        "round",
        "attempt",
        "phase",
        "cohort",
        "state",
        "bytes",
        "chunks",
        "seconds",
        "people",
        "sites",
        "rounds",
        "parameters",
        "epsilon",
        "delta",
        "ple_sigma",
        "left",
        "where",
        "problem",
        "code",
        "address",
        "index",
        "attempts",
        "path",
        "count",
        "left_out",
    ]
)

MOST = 20
"""Lines of one event that are written in a minute."""
_MINUTE_S = 60.0
_place: dict[str, str | int] = {}  # of the whole process, whichever thread of it speaks


def at_run(run: str) -> None:
    """From now on this process's lines are of this run, unless they name another."""
    _place["run"] = run


def at_round(round_number: int) -> None:
    """From now on this process's lines are of this round, unless they name another; 0 changes nothing."""
    if round_number:
        _place["round"] = round_number


def _placed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**_place, **event}


class Limit:
    """Leaves out what is said too often.

    Args:
        most: Lines of one event and node in a minute.
        now: Seconds of a monotonic clock.
    """

    def __init__(self, most: int = MOST, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now = most, now
        self._lock = threading.Lock()
        self._said: dict[tuple[object, object], tuple[float, int]] = {}  # -> when its minute began, lines since

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """The line, or none.

        Raises:
            structlog.DropEvent: It is left out.
        """
        if method in ("error", "critical", "exception"):
            return event
        what, now = (event.get("event"), event.get("node")), self._now()
        with self._lock:
            began, count = self._said.get(what, (now, 0))
            left_out = 0
            if now - began >= _MINUTE_S:
                began, count, left_out = now, 0, max(0, count - self._most)
            self._said[what] = (began, count + 1)
        if count >= self._most:
            raise structlog.DropEvent
        return {**event, "left_out": left_out} if left_out else event


def _allow(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    clean: EventDict = {}
    for key, value in event.items():
        if key in ALLOWED:
            scalar = isinstance(value, (str, int, float, bool)) or value is None
            told = value if scalar else f"<{type(value).__name__}>"
            clean[key] = plain_line(told) if isinstance(told, str) else told
    return clean


def configure(party: str, *, level: str = "info") -> None:
    """Log to standard error: readable on a terminal, one JSON object a line elsewhere."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            Limit(),
            _placed,
            structlog.processors.add_log_level,
            _allow,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(party=party)


def get_logger() -> structlog.stdlib.BoundLogger:
    """The process-wide logger."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger())
