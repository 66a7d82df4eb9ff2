from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import afml
from afml.evaluation.baselines import BINNED, GROUPED_RANDOM, GROUPED_STATIC, RANDOM, RESPONSE, STATIC
from afml.evaluation.utility import Outcome, released_auc
from afml.masking.kind import train_masking
from afml.masking.settings import GameSettings
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.release.alternatives import NETWORK_MASKS
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.release.table import decoder_of
from afml.study.data import StudyData
from afml.study.record import RunRecord, stored
from afml.study.rivals import ALL_PRIVATE, CODEBOOK, GREEDY, NETWORK, NO_DP, SENSITIVE, STATIC_SITES
from afml.study.runner import Job, collect
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes, run_one, sources
from tests.study.conftest import SITES, phases


def test_every_baseline_is_there(record: RunRecord) -> None:
    names = {row.name for row in record.baselines}
    families = {RANDOM, STATIC, BINNED, RESPONSE, GROUPED_STATIC, GROUPED_RANDOM}
    assert names == families | {SENSITIVE, GREEDY, CODEBOOK, NETWORK, STATIC_SITES, NETWORK_MASKS, NO_DP, ALL_PRIVATE}


def test_headline_repeats_the_release(record: RunRecord) -> None:
    assert record.rr == record.release.rr
    assert record.utility_ratio == pytest.approx(record.release.utility_ratio)
    assert record.utility_ratio_vs_best_raw == pytest.approx(record.release.utility_ratio_vs_best_raw)
    assert record.release.min_group_size is not None
    assert record.release.min_group_size >= 10
    assert record.group_bound <= 1 / 10
    assert record.seconds >= record.steps["training"]


def test_privacy_is_that_of_the_configuration(record: RunRecord, settings: RunSettings, people: StudyData) -> None:
    config = settings.run_config(people)
    assert record.ple_planned == ple(planned_events(config), config.budget.delta).sigma
    assert 0 < record.ple_sigma < record.ple_planned
    assert record.audited_ple_lower is not None
    assert record.audited_ple_lower <= record.ple_sigma
    assert record.epsilon_if_aggregation_broken > record.epsilon


def test_the_model_is_the_in_process_one(record: RunRecord, settings: RunSettings, people: StudyData) -> None:
    values, causal = phenotypes(settings, people)
    assert len(causal) == settings.causal
    enrolled = enrolled_of(people, values)
    model = train_masking(settings.run_config(people), people.panel, people.panel_dosage, enrolled)
    assert model.digest() == record.model_digest


def test_more_candidates_are_harder(record: RunRecord) -> None:
    counts = [at.people for at in record.candidates]
    assert counts == [100, 240, 720]
    assert record.candidates[1].rr <= record.rr + 1e-12
    assert record.candidates[2].rr <= record.candidates[1].rr


def test_masking_sensitive_sites_protects_nobody(record: RunRecord) -> None:
    rows = {row.name: row.rr for row in record.baselines}
    assert rows[SENSITIVE] > 0.95


def test_no_dp_is_noiseless(record: RunRecord) -> None:
    ratios = {row.name: row.utility_ratio for row in record.baselines}
    assert np.isfinite(list(ratios.values())).all()
    assert ratios[NO_DP] > 0.6


def test_records_are_stored_and_stand_for_their_settings(
    record: RunRecord, settings: RunSettings, job: Job, tmp_path: Path
) -> None:
    private = job.private_game
    assert stored(tmp_path, settings, private) is None
    path = record.save(tmp_path)
    assert stored(tmp_path, settings, private) == record
    changed = settings.model_copy(update={"release": settings.release.model_copy(update={"patterns": 3})})
    assert changed.name == settings.name
    assert stored(tmp_path, changed, private) is None
    path.write_text(path.read_text()[:-40])
    assert stored(tmp_path, settings, private) is None


def test_records_stand_for_their_all_private_baseline(record: RunRecord, job: Job, tmp_path: Path) -> None:
    record.save(tmp_path)
    assert job.private_game is not None
    changed = job.private_game.model_copy(update={"ple": 0.4})
    assert collect([job], tmp_path) == (record,)
    assert collect([replace(job, private_game=changed), replace(job, private_game=None)], tmp_path) == ()
    earlier = record.model_copy(update={"private_game_digest": None})  # it was not always kept
    assert "private_game_digest" not in earlier.model_dump()
    earlier.save(tmp_path)
    assert collect([replace(job, private_game=changed)], tmp_path) == (earlier,)


def test_the_digest_is_of_what_decides_results() -> None:
    root = Path(afml.__file__).parents[1]
    names = {path.relative_to(root).as_posix() for path in sources(root)}
    assert {"crypto/public/random.py", "crypto/public/grid.py", "afml/training/step.py"} < names
    assert {"afml/study/single.py", "afml/consortium/run.py"} < names
    assert not names & {"afml/study/tables.py", "afml/evaluation/page.py"}
    assert all(path.is_file() for path in sources(root))


def test_two_phenotypes_share_one_release(settings: RunSettings, people: StudyData) -> None:
    both = settings.model_copy(
        update={"phenotypes": 2, "phases": phases(0.9, SITES, 0.1, 1, 2), "audited": False, "population": ()}
    )
    made = run_one(both, people)
    assert len(made.phenotypes) == 2
    assert made.utility_ratio == min(one.utility_ratio for one in made.phenotypes)
    assert made.group_bound <= 1 / 10


def test_a_release_that_is_read_by_its_table_is_judged_by_it(settings: RunSettings, people: StudyData) -> None:
    """As a recipient finds it who looks every record up in the table."""
    release = settings.release.model_copy(update={"method": "levels"})
    changes = {"release": release, "audited": False, "population": (), "game": GameSettings(steps=0)}
    of_levels = settings.model_copy(update=changes | {"phases": settings.phases[:1]})
    config = of_levels.run_config(people)
    values, _ = phenotypes(of_levels, people)
    model = train_masking(config, people.panel, people.panel_dosage, enrolled_of(people, values))
    plan = plan_release(model, people.panel_dosage, release, people_per_file=min(config.enrolled.values()))
    decoder = decoder_of(plan, people.panel_dosage)
    assert decoder is not None
    records = np.concatenate([apply_plan(plan, file).dosage for file in people.files])
    outcome = Outcome(values[0], np.concatenate(people.enrolled))
    told, seen = released_auc(decoder(records), outcome), released_auc(records, outcome)
    made = run_one(of_levels, people)
    assert made.release.method == "levels"
    assert made.release.utility_auc == pytest.approx(told)
    assert told != pytest.approx(seen, abs=1e-3)
