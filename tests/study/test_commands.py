from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli import reproduce as verb
from afml.cli.plan import plan
from afml.cli.reproduce import reproduce
from afml.core.errors import ConfigError, InputError, ReleaseError
from afml.study import reproduction
from afml.study.design import Design
from afml.study.record import RunRecord
from afml.study.reproduction import write_results
from afml.study.runner import Job
from tests.study.conftest import phases

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


@pytest.mark.parametrize("begun", [False, True])
def test_only_runs_of_the_extended_grid_begin_it(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """Other files in the folder (of a quick grid, say) count for nothing, and nothing is loaded to tell."""
    counted: list[int] = []
    data = record.settings.data
    design = Design(data, phases, lambda sites: counted.append(sites) or sites or 9000)  # type: ignore[func-returns-value]
    monkeypatch.setattr(verb, "real_design", lambda places, note: design)
    monkeypatch.setattr(reproduction, "write_tables", lambda *_, **__: None)
    record.save(tmp_path / "runs")
    if begun:
        record.model_copy(update={"name": min(design.extended_names())}).save(tmp_path / "runs")
    done = CliRunner().invoke(reproduce, ["--report-only", "--out", str(tmp_path)], catch_exceptions=False)
    assert (4096 in counted) == begun
    assert f"0 of {len(design.full()) + begun * len(design.extended())} runs" in done.output


def test_runs_of_another_version_are_told_apart(record: RunRecord, job: Job, tmp_path: Path) -> None:
    record.model_copy(update={"code_digest": "other"}).save(tmp_path / "runs")
    write_results([job], tmp_path, figures=False)
    sentence = "Made by another version of the source, see README.md: all 1 runs."
    assert sentence in (tmp_path / "tables.md").read_text()
    record.save(tmp_path / "runs")
    write_results([job], tmp_path, figures=False)
    assert "another version" not in (tmp_path / "tables.md").read_text()


def test_quick_grid_exits_badly_when_the_method_broke(
    record: RunRecord, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored run of these settings claims a re-identification rate of 30 %."""
    monkeypatch.setattr(reproduction, "quick", lambda planner, real: [job])
    record.model_copy(update={"rr": 0.3}).save(tmp_path / "runs")
    arguments = ["--grid", "quick", "--out", str(tmp_path), "--cache", str(tmp_path)]
    with pytest.raises(ReleaseError, match="checks of the quick grid failed"):
        CliRunner().invoke(reproduce, arguments, catch_exceptions=False)
