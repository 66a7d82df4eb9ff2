from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from afml.masking.chosen import masking_settings
from afml.masking.kind import train_masking
from afml.masking.plan import parameter_counts
from afml.masking.settings import MaskingSettings, ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.study import runner
from afml.study.data import StudyData
from afml.study.design import Design
from afml.study.quick import complaints
from afml.study.record import RunRecord
from afml.study.runner import Job, Places, collect, make_runs
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes
from tests.study.conftest import phases


def test_parent_and_workers_note_their_source_when_they_start(
    record: RunRecord, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Mock(return_value="")
    monkeypatch.setattr(runner, "code_digest", noted)
    for name in ("signal", "die_with_parent"):  # the rest of what a worker does at its start
        monkeypatch.setattr(runner, name, Mock())
    runner._start()
    assert noted.call_count == 1
    record.save(tmp_path)
    make_runs([job], Places(None, tmp_path, tmp_path), say=lambda _: None)
    assert noted.call_count == 2
    assert runner.stale([record]) == (record.name,)


def test_runs_are_made_once(record: RunRecord, job: Job, tmp_path: Path) -> None:
    record.save(tmp_path)
    told: list[str] = []
    made = make_runs([job], Places(None, tmp_path, tmp_path), say=told.append)
    assert made.records == (record,)
    assert told == ["1 runs, 1 there already"]


def test_a_worker_makes_the_same_run_and_a_bad_one_is_reported(record: RunRecord, job: Job, tmp_path: Path) -> None:
    bad = replace(job, settings=job.settings.model_copy(update={"phenotype_seed": 1002, "quorum": 9}))
    told: list[str] = []
    made = make_runs([job, bad], Places(None, tmp_path, tmp_path), say=told.append)
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
    simulated = Design(settings.data, phases, lambda sites: sites)
    game = settings.game.model_copy(update={"context_scores": 0})
    one = simulated.job(
        4, 1001, sites=settings.data.sites, private=False, variant="no-context", game=game, population=(),
        release=ReleaseSettings(method="network", min_group_size=10),
    )  # fmt: skip
    assert [phase.parameters for phase in one.settings.phases] == list(
        parameter_counts(len(people.panel), MaskingSettings(game=game))
    )
    assert one.settings.phases[1].parameters < settings.phases[1].parameters
    config = one.settings.run_config(people)
    traits, _ = phenotypes(one.settings, people)
    model = train_masking(config, people.panel, people.panel_dosage, enrolled_of(people, traits))
    plan = plan_release(
        model, people.panel_dosage, masking_settings(config).release, people_per_file=min(config.enrolled.values())
    )
    assert plan.method == "network"
    assert apply_plan(plan, people.files[0]).min_group_size >= 10
