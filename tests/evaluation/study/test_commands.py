from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli import reproduce as verb
from afml.cli.plan import plan
from afml.cli.reproduce import reproduce
from afml.core.errors import ConfigError, InputError, ReleaseError
from afml.evaluation.study.grid import Job
from afml.evaluation.study.record import RunRecord

SMALL = ["--people", "240", "--nodes", "3", "--sites", "40", "--causal", "4", "--draws", "1", "--rounds", "2",
         "--game-rounds", "0", "--min-group-size", "10"]  # fmt: skip


def test_plan_prints_what_to_expect() -> None:
    done = CliRunner().invoke(plan, [*SMALL, "--nodes", "4", "--quorum", "3", "--json"], catch_exceptions=False)
    told = json.loads(done.output)
    assert [(row["nodes"], row["reserve_attempts"]) for row in told["expected"]] == [
        (4, 0), (4, 1), (4, 5), (4, 20), (3, 1)
    ]  # fmt: skip
    noises = [row["noise_multiplier"] for row in told["expected"][:4]]
    assert noises == sorted(noises)
    assert told["affordable_lost_attempts"] in (0, 1, 5, 20)


def test_plan_refuses_what_cannot_be() -> None:
    runner = CliRunner()
    for wrong in (["--quorum", "2"], ["--quorum", "9"], ["--causal", "50"], ["--draws", "0"]):
        with pytest.raises(ConfigError):
            runner.invoke(plan, [*SMALL, *wrong], catch_exceptions=False, standalone_mode=False)


def test_reproduce_needs_its_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DATA"):
        CliRunner().invoke(reproduce, ["--data", str(tmp_path)], catch_exceptions=False)


def test_quick_grid_exits_badly_when_the_method_broke(
    record: RunRecord, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored run of these settings claims a re-identification rate of 30 %."""
    monkeypatch.setattr(verb, "quick", lambda planner, real: [job])
    record.model_copy(update={"rr": 0.3}).save(tmp_path / "runs")
    arguments = ["--grid", "quick", "--out", str(tmp_path), "--cache", str(tmp_path)]
    with pytest.raises(ReleaseError, match="checks of the quick grid failed"):
        CliRunner().invoke(reproduce, arguments, catch_exceptions=False)
