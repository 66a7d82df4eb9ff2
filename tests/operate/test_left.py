"""How long the public part still takes, at the node that makes it: by the steps that it has done."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.core.progress import Event
from afml.operate.shown import PartStatus
from afml.operate.status import _part
from afml.operate.told import _part as line_of
from node.standing import Keeper, Place
from node.workspace import Workspace
from tests.aggregator.machine import small_run

NOW = 1_700_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=NOW)
    monkeypatch.setattr(time, "time", lambda: made.now)
    return made


@pytest.fixture
def keeper(clock: SimpleNamespace, tmp_path: Path) -> Keeper:
    kit: Any = SimpleNamespace(tls=SimpleNamespace(expires=SimpleNamespace(timestamp=lambda: 2e9)), node=1, folder=None)
    folder = Workspace(tmp_path).run("r")
    folder.mkdir(parents=True)
    return Keeper(Place(kit, small_run(), "a:7443", folder))


def shown(tmp_path: Path) -> PartStatus:
    return _part(Workspace(tmp_path), "r", None, time.time())


def test_time_left_follows_from_the_steps_so_far(clock: SimpleNamespace, keeper: Keeper, tmp_path: Path) -> None:
    keeper.told(Event("public"))
    assert shown(tmp_path).left_s is None
    clock.now += 30.0
    keeper.told(Event("public", step=100, steps=300))
    keeper._keep()  # as the next beat does
    assert shown(tmp_path).left_s == 60.0
    clock.now += 10.0
    assert shown(tmp_path).left_s == 50.0
    assert "public part: step 100 of 300, since " in line_of(shown(tmp_path))
    assert "50.0 s left of it" in line_of(shown(tmp_path))
    keeper.told(Event("training", round=1, rounds=2, phase="risk"))
    assert shown(tmp_path).left_s is None
    assert " left of it" not in line_of(shown(tmp_path))
