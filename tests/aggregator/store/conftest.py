"""Patience: a server that is busy with other things releases locks late."""

from __future__ import annotations

import pytest

from aggregator.store import postgresql


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql._SETTINGS, "lock_timeout", "60s")
