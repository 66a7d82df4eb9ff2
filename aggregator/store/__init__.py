"""Stores by name: a URL such as `sqlite:PATH` says which one keeps a run, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from afml.core.registry import Registry
from aggregator.store.base import Store
from aggregator.store.queue import Queue

Opener: TypeAlias = Callable[[str, bytes], Store]
"""(what follows the name in the URL, digest of the run's configuration) -> an open store."""
QueueOpener: TypeAlias = Callable[[str], Queue]
"""(what follows the name in the URL) -> an open queue."""

QUEUES: Registry[QueueOpener] = Registry(
    "store of many runs",
    {
        "sqlite": "aggregator.store.queue:SqliteQueue",
        "postgresql": "aggregator.store.postgresql:PostgresqlQueue",
    },
)

STORES: Registry[Opener] = Registry(
    "store",
    {
        "sqlite": "aggregator.store.sqlite:SqliteStore",
        "postgresql": "aggregator.store.postgresql:PostgresqlStore",
    },
)

_URL = re.compile(r"(?P<name>[a-z][a-z0-9]*):(?P<place>.*)")


def open_store(url: str | Path, config_digest: bytes) -> Store:
    """Open a run's store, or create it.

    Args:
        url: `NAME:PLACE`; a path without a name is an SQLite file.
        config_digest: Of the run's configuration; a store serves one run.

    Raises:
        ConfigError: No store has this name, or the one found is of another run or of another version of AFML.
        TransportError: No database answers.
        Taken: Another process has it open.
    """
    name, place = _parts(url)
    return STORES.get(name, where=url)(place, config_digest)


def open_queue(url: str | Path) -> Queue:
    """Open what is remembered of many runs, or create it.

    Args:
        url: As of `open_store`.

    Raises:
        ConfigError: No store of many runs has this name, or the one found is of another version of AFML.
        TransportError, Taken: As of `open_store`.
    """
    name, place = _parts(url)
    return QUEUES.get(name, where=url)(place)


def _parts(url: str | Path) -> tuple[str, str]:
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    return (found["name"], found["place"]) if found else ("sqlite", str(url))
