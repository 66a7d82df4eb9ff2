"""What is told of a node's part in a run: how long the public part still takes, and that it is starting."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.consortium.card import NodeCard
from afml.core.progress import Event
from afml.core.standing import STALE_S
from afml.operate.shown import PartStatus, ServeStatus
from afml.operate.status import _part, status_of
from afml.operate.told import _part as line_of
from afml.operate.told import lines
from node.serving.standing import RunHere, ServeStanding
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


def test_a_run_whose_process_was_begun_and_has_said_nothing_is_starting(
    clock: SimpleNamespace, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its daemon says: just taken, or taken up again after a process before it."""
    monkeypatch.setattr(NodeCard, "load", lambda _: SimpleNamespace(node=1))

    def told(**changes: object) -> str:
        runs = [RunHere(run=run, state="running", why="", work=str(tmp_path)) for run in ("r", "taken")]
        fields: dict[str, object] = {"started": NOW, "written": clock.now, "runs": runs} | changes
        ServeStanding.model_validate({
            "consortium": "c", "version": "0", "certificate_expires": 2e9, "node": 1, "address": "a:7443", "at_once": 2,
            "ledger": "", "works": [str(tmp_path)], **fields,
        }).keep(tmp_path / "serve")  # fmt: skip
        found = status_of(tmp_path / "serve")
        assert isinstance(found, ServeStatus)
        return " ".join(f"{part.run}={part.state}" for part in found.works[0].parts)

    (tmp_path / "serve").mkdir()
    assert told() == "r=starting taken=starting"
    assert "run r: starting: its process was begun" in "\n".join(lines(status_of(tmp_path / "serve")))
    assert told(ended="stopped") == "r=stopped", "nobody starts it"
    assert told(runs=[]) == "r=stopped"
    keeper.told(Event("enrolled"))
    assert told() == "r=running taken=starting"
    clock.now += STALE_S
    assert told() == "r=silent taken=starting", "that process hangs"
    assert told(started=clock.now) == "r=starting taken=starting", "that of a daemon before this one was killed"
    keeper.ended("was interrupted")
    assert told() == "r=starting taken=starting"
