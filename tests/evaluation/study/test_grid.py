from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from afml.core.run import GameSettings, ReleaseSettings
from afml.evaluation.study import grid as grids
from afml.evaluation.study.data import DataSettings, StudyData
from afml.evaluation.study.grid import Job, collect, run_grid
from afml.evaluation.study.jobs import CAUSAL, PLES, SEEDS, Grid, ablations, quick
from afml.evaluation.study.quick import complaints
from afml.evaluation.study.record import RunRecord
from afml.evaluation.study.settings import RunSettings
from afml.evaluation.study.single import cohorts, phenotypes
from afml.training.inprocess import train_in_process
from afml.training.program import parameter_counts
from afml.training.release import apply_plan, plan_release
from tests.evaluation.study.conftest import phases


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid(DataSettings(kind="vcf", sites=1024), phases, lambda sites: sites or 10_000)


def test_the_full_grid_is_that_of_the_plan(grid: Grid) -> None:
    jobs = grid.full()
    assert len(jobs) == 30
    found = {(j.settings.causal, j.settings.phenotype_seed, j.settings.ple) for j in jobs}
    assert found == {(c, s, p) for c in CAUSAL for s in SEEDS for p in PLES}
    assert len({j.settings.name for j in jobs}) == 30
    assert all(j.settings.noise == "distributed" and j.settings.sites_key == "1024" for j in jobs)
    federated = {(j.settings.causal, j.settings.ple) for j in jobs if j.settings.federated}
    assert federated == {(c, p) for c in CAUSAL for p in PLES}
    assert sum(j.settings.federated for j in grid.full("one")) == 1
    assert not any(j.settings.federated for j in grid.full("none"))
    for one in jobs:
        assert one.private_game is not None
        assert one.private_game.game.steps == 0
        assert one.settings.game == GameSettings()


def test_the_extended_grid_changes_one_thing_at_a_time(grid: Grid) -> None:
    jobs = grid.extended()
    assert len({j.settings.name for j in jobs}) == len(jobs) == 15 + 10 + 18 + 3 * len(ablations())
    for job in jobs:
        one = job.settings
        if one.variant not in ("default", "codebook", "panel-frequencies"):
            assert one.release.method == "network"
        assert (one.data.panel == "frequencies") == (one.variant == "panel-frequencies")
    assert not {j.settings.name for j in jobs} & {j.settings.name for j in grid.full()}


def test_every_run_has_a_name_that_a_run_may_have(grid: Grid) -> None:
    """Long ones are shortened, and still different; those of the plan's own seeds are as they were."""
    assert all(job.settings.name.endswith(f"seed{job.settings.phenotype_seed}") for job in grid.extended())
    jobs = grid.extended((1001, 1002), (1001, 1002))
    names = [job.settings.name for job in jobs]
    assert max(map(len, names)) == 64
    assert len(set(names)) == len(names)
    assert sum(not name.endswith(("seed1001", "seed1002")) for name in names) > 0


def test_names_of_the_extended_grid_need_neither_noise_nor_sites(grid: Grid) -> None:
    untouched = replace(grid, planner=Mock(side_effect=AssertionError), site_counts=Mock(side_effect=AssertionError))
    assert untouched.extended_names() == {job.settings.name for job in grid.extended()}
    assert untouched.extended_names((7,), (7,)) == {job.settings.name for job in grid.extended((7,), (7,))}


def test_parent_and_workers_note_their_source_when_they_start(
    record: RunRecord, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Mock(return_value="")
    monkeypatch.setattr(grids, "code_digest", noted)
    for name in ("signal", "ctypes"):  # the rest of what a worker does at its start
        monkeypatch.setattr(grids, name, Mock())
    grids._start()
    assert noted.call_count == 1
    record.save(tmp_path)
    run_grid([job], source=None, cache=tmp_path, folder=tmp_path, say=lambda _: None)
    assert noted.call_count == 2
    assert grids.stale([record]) == (record.name,)


def test_quick_runs_use_no_reported_seed() -> None:
    for real in (None, DataSettings(kind="vcf", sites=512)):
        jobs = quick(phases, real)
        assert len({j.settings.name for j in jobs}) == 2
        assert all(j.settings.phenotype_seed >= 1000 for j in jobs)


def test_runs_are_made_once(record: RunRecord, job: Job, tmp_path: Path) -> None:
    record.save(tmp_path)
    told: list[str] = []
    made = run_grid([job], source=None, cache=tmp_path, folder=tmp_path, say=told.append)
    assert made.records == (record,)
    assert told == ["1 runs, 1 there already"]


def test_a_worker_makes_the_same_run_and_a_bad_one_is_reported(record: RunRecord, job: Job, tmp_path: Path) -> None:
    bad = replace(job, settings=job.settings.model_copy(update={"phenotype_seed": 1002, "quorum": 9}))
    told: list[str] = []
    made = run_grid([job, bad], source=None, cache=tmp_path, folder=tmp_path, say=told.append)
    assert [name for name, _ in made.failed] == [bad.settings.name]
    assert "quorum" in made.failed[0][1]
    assert len(collect([job, bad], tmp_path)) == 1
    assert made.records[0].model_digest == record.model_digest
    assert made.records[0].rr == record.rr
    assert any("min left" in line for line in told)


def test_quick_checks_notice_a_broken_method(record: RunRecord) -> None:
    release = record.release.model_copy(update={"min_group_size": 2, "patterns": 1})
    broken = record.model_copy(
        update={
            "rr": 0.3, "rr_reduction": 0.5, "utility_ratio": 0.6, "group_bound": 0.5, "ple_planned": 1.4,
            "release": release, "baselines": (),
        }
    )  # fmt: skip
    assert len(complaints(broken)) == 8


def test_the_network_without_context_runs_with_the_length_that_it_has(people: StudyData, settings: RunSettings) -> None:
    simulated = Grid(settings.data, phases, lambda sites: sites)
    game = settings.game.model_copy(update={"context_scores": 0})
    one = simulated.job(
        4, 1001, sites=settings.data.sites, private=False, variant="no-context", game=game, population=(),
        release=ReleaseSettings(method="network", min_group_size=10),
    )  # fmt: skip
    assert [phase.parameters for phase in one.settings.phases] == list(parameter_counts(len(people.panel), 4, game))
    assert one.settings.phases[1].parameters < settings.phases[1].parameters
    config = one.settings.run_config(people)
    traits, _ = phenotypes(one.settings, people)
    model = train_in_process(config, people.panel, people.panel_dosage, cohorts(people, traits))
    plan = plan_release(model, people.panel_dosage, config.release, people_per_file=min(config.enrolled.values()))
    assert plan.method == "network"
    assert apply_plan(plan, people.files[0]).min_group_size >= 10
