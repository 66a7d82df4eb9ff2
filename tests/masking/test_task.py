"""The masking task: what its rows, parameters, states and public part promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.consortium.run import Phase
from afml.core.errors import ConfigError, InputError, IntegrityError
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task, train_masking
from afml.masking.settings import RISK, GameSettings, RiskSettings
from afml.masking.task import MaskingTask
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import (
    GAME_PHASE,
    RISK_PHASE,
    config,
    dosages,
    enrolled,
    phenotype,
    sites_panel,
    small_task,
)

SITES, PEOPLE = 24, 30


@pytest.fixture
def task() -> MaskingTask:
    made = small_task(config(SITES, PEOPLE))
    made.load_public(made.train_public())
    return made


@pytest.fixture
def people() -> Enrolled:
    return enrolled(SITES, PEOPLE)[1]


@pytest.mark.parametrize("phase", [RISK_PHASE, GAME_PHASE])
def test_a_persons_share_of_the_sum_does_not_depend_on_others(task: MaskingTask, people: Enrolled, phase: int) -> None:
    def total(batch: list[int]) -> np.ndarray:
        part = np.array(batch, dtype=np.int64)
        return Trainer(task.run, task, people).clipped_sum(phase, part, source(1, "people"))

    np.testing.assert_allclose(total([3, 5, 7]), total([3]) + total([5]) + total([7]), atol=2e-5)


@pytest.mark.parametrize("phase", [RISK_PHASE, GAME_PHASE])
def test_sensitivity_is_the_clip_norm(task: MaskingTask, people: Enrolled, phase: int) -> None:
    for person in range(4):
        share = Trainer(task.run, task, people).clipped_sum(phase, np.array([person]), source(1, "people"))
        assert np.linalg.norm(share) <= task.run.phases[phase].clip_norm


def test_a_drawn_panel_has_no_ancestry_to_project_out() -> None:
    panel, drawn = sites_panel(SITES), sites_panel(SITES, drawn_people=60)
    dosage = dosages(60, SITES, seed=0)
    of_people, of_nobody = (masking_task(config(SITES, PEOPLE), one, dosage) for one in (panel, drawn))
    assert of_people.public.statistics.components.shape == (10, SITES)
    assert of_nobody.public.statistics.components.shape == (0, SITES)
    assert "panel" not in of_people.model().card
    note = "panel drawn from allele frequencies: 60 people, independent sites"
    assert of_nobody.model().card["panel"] == note
    keeps = config(SITES, PEOPLE, phases=config(SITES, PEOPLE).phases[1:], risk=RiskSettings(kept_components=2))
    with pytest.raises(ConfigError, match="has no principal components that a release could keep"):
        masking_task(keeps, drawn, dosage)


def test_the_divisor_is_public(task: MaskingTask) -> None:
    before = np.frombuffer(task.digest(), np.uint8).copy()
    total = np.ones(task.length(GAME_PHASE))
    start = task.model().game
    task.apply(GAME_PHASE, total, 3 * PEOPLE)
    phase = task.run.phases[GAME_PHASE]
    step = phase.learning_rate / (phase.sample_rate * 3 * PEOPLE)
    np.testing.assert_allclose(task.model().game, start - step)
    assert not np.array_equal(before, np.frombuffer(task.digest(), np.uint8))


def test_machines_whose_linear_algebra_differs_hold_the_same_master_bits(task: MaskingTask) -> None:
    other = small_task(config(SITES, PEOPLE))
    other.load_public(task.train_public())
    task.load_public(task.train_public())
    assert other.digest() == task.digest()
    statistics = other.public.statistics
    other.public.statistics = replace(statistics, variance=statistics.variance * (1 + 1e-6))
    rng = np.random.default_rng(3)
    for phase in (RISK_PHASE, RISK_PHASE, GAME_PHASE):
        total = rng.standard_normal(task.length(phase))
        task.apply(phase, total, PEOPLE)
        other.apply(phase, total, PEOPLE)
    assert other.digest() == task.digest()
    assert not np.array_equal(other.trained(RISK_PHASE), task.trained(RISK_PHASE))


def test_state_survives_and_continues_bit_for_bit(task: MaskingTask, people: Enrolled) -> None:
    def update(of: MaskingTask, phase: int, label: str) -> np.ndarray:
        return Trainer(of.run, of, people).private_update(phase, source(1, label), 1.0)

    task.apply(RISK_PHASE, update(task, RISK_PHASE, "a"), PEOPLE)
    twin = small_task(task.run)
    twin.load_state(task.state())
    assert twin.digest() == task.digest()
    for each in (task, twin):
        each.apply(GAME_PHASE, update(each, GAME_PHASE, "b"), PEOPLE)
    assert twin.digest() == task.digest()
    assert twin.model().digest() == task.model().digest()


@pytest.mark.parametrize("phase", [RISK_PHASE, GAME_PHASE])
def test_networks_never_outlive_the_parameters_they_were_made_of(
    task: MaskingTask, people: Enrolled, phase: int
) -> None:
    """They are kept between micro-batches; a step, a state and a public part each make new ones necessary."""

    def share(of: MaskingTask) -> np.ndarray:
        return Trainer(of.run, of, people).clipped_sum(phase, np.arange(5), source(1))

    start, blob = task.state(), task.train_public()
    first = share(task)
    task.apply(phase, 30.0 * np.random.default_rng(0).standard_normal(task.length(phase)), PEOPLE)
    fresh = small_task(task.run)
    fresh.load_state(task.state())
    moved = share(task)
    assert not np.array_equal(moved, first)
    np.testing.assert_array_equal(moved, share(fresh))
    task.load_state(start)
    np.testing.assert_array_equal(share(task), first)
    if phase == GAME_PHASE:
        task.apply(phase, np.ones(task.length(phase)), PEOPLE)
        task.load_public(blob)
        np.testing.assert_array_equal(share(task), first)


def test_the_risk_model_learns() -> None:
    """With little noise the causal sites come out on top."""
    phase = Phase(name=RISK, rounds=10, sample_rate=1.0, clip_norm=1.0, noise_multiplier=0.5, learning_rate=0.003)
    run = config(SITES, 300, phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18)
    model = train_masking(run, sites_panel(SITES), dosages(200, SITES, seed=0), enrolled(SITES, 300))
    causal = np.random.default_rng(5).choice(SITES, 3, replace=False)
    assert set(np.argsort(-model.weights)[:3]) == set(causal)
    held_out = dosages(400, SITES, seed=50)
    cases = phenotype(held_out, 50) == 1
    score = model.risk_score(held_out)
    assert np.mean(score[cases][:, None] > score[~cases][None]) > 0.75


def test_an_unbalanced_phenotype_moves_the_intercept(task: MaskingTask, people: Enrolled) -> None:
    everybody = Enrolled(people.dosage, np.ones(len(people), np.int8))
    total = Trainer(task.run, task, everybody).clipped_sum(RISK_PHASE, np.arange(len(people)), source(1))
    assert total[-1] < 0.0  # the step goes against the gradient: the intercept rises


def test_game_rounds_wait_for_the_public_part(people: Enrolled) -> None:
    fresh = small_task(config(SITES, PEOPLE))
    with pytest.raises(ConfigError, match="public part"):
        Trainer(fresh.run, fresh, people).private_update(GAME_PHASE, source(1), 1.0)


def test_bad_input_is_one_line(task: MaskingTask, people: Enrolled) -> None:
    with pytest.raises(ConfigError, match="sites"):
        masking_task(config(SITES + 1, PEOPLE), sites_panel(SITES), dosages(60, SITES, seed=0))
    with pytest.raises(InputError, match="phenotype"):
        Enrolled(people.dosage, people.phenotype[1:])
    with pytest.raises(IntegrityError, match="parameters"):
        task.apply(RISK_PHASE, np.zeros(3), PEOPLE)
    with pytest.raises(IntegrityError):
        task.load_public(b"not an archive")
    with pytest.raises(IntegrityError):
        task.load_public(task.state()[:-10])
    with pytest.raises(IntegrityError):
        task.load_state(b"")


def test_enrolled_people_are_never_printed(people: Enrolled) -> None:
    assert repr(replace(people)) == f"Enrolled({PEOPLE} people)"
