"""Structured logs that cannot leak: only allow-listed fields, only plain scalars, pass through."""

from __future__ import annotations

import logging
import sys
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
    ]
)


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
