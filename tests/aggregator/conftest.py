"""A machine over a fresh store, and power that fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aggregator.machine import Machine
from tests.aggregator.power import Power


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    """What every connection to SQLite needs in this test."""
    supply = Power()
    monkeypatch.setattr(sqlite3, "connect", supply.connect())
    return supply
