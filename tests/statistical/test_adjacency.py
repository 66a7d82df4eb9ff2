"""Neighbours differ in one person: what one person can change, and that nothing public depends on anybody.

One test for each rule that the guarantee rests on. That other people never change a person's gradient is in
tests/masking/test_gradients.py; what no rows that a task gives can do, in tests/training/test_clipping.py; that noise
alone leaves an empty batch, in tests/training/test_step.py; retries of an attempt and receipts, in
tests/crypto/test_outbox.py and tests/ledger.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from afml.audit.people import spread
from afml.audit.rounds import together
from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import AfmlError, ConfigError
from afml.ledger.entries import spend_for
from afml.masking.enrolled import Enrolled
from afml.masking.kind import train_masking
from afml.masking.task import MaskingTask
from afml.privacy.events import Gaussian
from afml.privacy.noise import (
    broken_multiplier,
    grid_for,
    node_std,
    require_cohort,
    round_event,
    round_grid,
    with_fewest_bits,
)
from afml.privacy.ple import ple
from afml.training.clipping import RowGradients
from afml.training.step import Trainer, apply_total
from crypto.public.random import SeededRandom, SystemRandom, source
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, dosages, enrolled, sites_panel, small_task

SITES, PEOPLE = 24, 30
BOTH = pytest.mark.parametrize("phase", [RISK_PHASE, GAME_PHASE])


@pytest.fixture
def task() -> MaskingTask:
    """Somewhere in training: weights, masks and identifier are not at their start."""
    made = small_task(config(SITES, PEOPLE))
    made.apply(RISK_PHASE, 30.0 * np.random.default_rng(4).normal(size=SITES + 1), PEOPLE)
    made.load_public(made.train_public())
    return made


@pytest.fixture
def people() -> Enrolled:
    """Ordinary people, people at the edge of the format, and everybody's calls missing but one."""
    rng = np.random.default_rng(9)
    edge = spread(SITES, 8, rng)
    sparse = np.full((4, SITES), -1, np.int8)
    sparse[np.arange(4), rng.integers(SITES, size=4)] = 2
    return together(together(enrolled(SITES, PEOPLE)[1], edge), Enrolled(sparse, np.array([0, 1, 0, 1], np.int8)))


def clipped(task: MaskingTask, people: Enrolled, phase: int, *who: int) -> NDArray[np.float64]:
    """The clipped sum of some people."""
    return Trainer(task.run, task, people).clipped_sum(phase, np.array(who, np.int64), source(2))


# -- what one person can change --------------------------------------------------------------------------


@BOTH
def test_nobody_moves_the_sum_by_more_than_the_clip_norm(task: MaskingTask, people: Enrolled, phase: int) -> None:
    bound = task.run.phases[phase].clip_norm
    shares = np.array([clipped(task, people, phase, i) for i in range(len(people))])
    lengths = np.linalg.norm(shares, axis=1)
    assert lengths.max() <= bound
    # With and without one person, whoever else is there: the same bound up to float32 addition.
    rng = np.random.default_rng(7)
    for _ in range(10):
        batch = np.flatnonzero(rng.random(len(people)) < 0.4)
        person = int(rng.integers(len(people)))
        rest = batch[batch != person]
        change = clipped(task, people, phase, *np.sort([*rest, person])) - clipped(task, people, phase, *rest)
        assert np.linalg.norm(change) <= bound + 1e-4
        np.testing.assert_allclose(change, shares[person], atol=1e-4)


def test_two_blocks_are_one_mechanism(task: MaskingTask, people: Enrolled) -> None:
    """Masker and identifier are clipped to C / sqrt(2) each, both from the same batch: together C, and z."""
    phase = task.run.phases[GAME_PHASE]
    masking = sum(p.numel() for p in task._new_game().block.parameters())
    half = phase.clip_norm / math.sqrt(2)
    shares = np.array([clipped(task, people, GAME_PHASE, i) for i in range(len(people))])
    blocks = np.stack([np.linalg.norm(shares[:, :masking], axis=1), np.linalg.norm(shares[:, masking:], axis=1)])
    assert blocks.max() <= half
    assert blocks.max() > 0.99 * half  # the bound is reached, so the noise is not larger than it must be
    # Each block alone has multiplier z sqrt(2); two such mechanisms compose to one of multiplier z.
    z = phase.noise_multiplier
    composed = ple([Gaussian(z * math.sqrt(2)), Gaussian(z * math.sqrt(2))], 1e-5)
    assert composed.sigma == pytest.approx(ple([Gaussian(z)], 1e-5).sigma)


@BOTH
def test_nothing_scales_the_update_after_the_noise(task: MaskingTask, people: Enrolled, phase: int) -> None:
    """update - noise is a sum of one vector of length <= C per person in the batch, for any batch."""
    bound, std = task.run.phases[phase].clip_norm, 3.0
    for number in range(4):
        size = (0, 1, 7, len(people))[number]
        trainer = Trainer(task.run, task, people.rows(np.arange(size)))
        rng = source(5, number)
        noise = std * rng.child("noise").normal(task.length(phase))
        rest = trainer.private_update(phase, source(5, number), std) - noise
        rate = task.run.phases[phase].sample_rate
        batch = np.flatnonzero(rng.child("batch").uniform(size) < rate)
        alone = [trainer.clipped_sum(phase, np.array([i]), rng.child("people")) for i in batch]
        assert all(np.linalg.norm(share) <= bound for share in alone)
        np.testing.assert_allclose(rest, np.sum([np.zeros(len(noise)), *alone], axis=0), atol=1e-4)


@BOTH
def test_the_model_moves_by_a_public_multiple_of_the_sum(task: MaskingTask, phase: int) -> None:
    """The factor comes from the configuration and the panel; sums of any kind are scaled alike."""
    rng, start = np.random.default_rng(1), task.state()
    length, number = task.length(phase), 1 if phase == RISK_PHASE else 3
    grid = round_grid(task.run, number)

    def moved(total: Any) -> Any:
        task.load_state(start)
        before = _vector(task, phase)
        apply_total(task, task.run, number, (1, 2, 3), total)
        return _vector(task, phase) - before

    first, one, other = (rng.integers(-most, most, length) for most in (10**6, 500, 30_000))
    factor = moved(first) / grid.dequantise(first)
    for total in (one, other):
        np.testing.assert_allclose(moved(total), factor * grid.dequantise(total), rtol=1e-6, atol=1e-12)


def _vector(task: MaskingTask, phase: int) -> Any:
    return task._masters.risk.copy() if phase == RISK_PHASE else task._masters.require_game().copy()


def test_layers_that_mix_people_are_refused() -> None:
    """Batch normalisation would make a person's gradient depend on the others in the batch."""
    with pytest.raises(Exception, match=r"(?i)batch ?norm|mixes|not support|buffers"):
        RowGradients(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))


# -- public constants ------------------------------------------------------------------------------------


def test_the_divisor_is_the_declared_enrolment_of_the_cohort(task: MaskingTask) -> None:
    total, start, run = np.full(SITES + 1, 1000, np.int64), task.state(), task.run

    def moved(cohort: tuple[int, ...], **changes: Any) -> Any:
        task.load_state(start)
        before = _vector(task, RISK_PHASE)
        apply_total(task, run.model_copy(update=changes), 1, cohort, total)
        return np.linalg.norm(_vector(task, RISK_PHASE) - before)

    assert moved((1, 2)) / moved((1, 2, 3)) == pytest.approx(3 / 2)
    declared = {1: PEOPLE, 2: PEOPLE, 3: 4 * PEOPLE}
    step = grid_for(run.model_copy(update={"enrolled": declared}), run.phases[RISK_PHASE]).grid.step
    ratio = step / grid_for(run, run.phases[RISK_PHASE]).grid.step
    assert moved((1, 2, 3), enrolled=declared) / moved((1, 2, 3)) == pytest.approx(ratio / 2)


def test_people_other_than_declared_are_refused() -> None:
    people = enrolled(SITES, PEOPLE)
    people[2] = people[2].rows(np.arange(1, PEOPLE))
    with pytest.raises(ConfigError, match="enrolment declared"):
        train_masking(config(SITES, PEOPLE), sites_panel(SITES), dosages(60, SITES, seed=0), people)


@BOTH
def test_what_is_declared_does_not_change_with_the_people(phase: int) -> None:
    """Noise, grid, event and codec are functions of the configuration."""
    run = config(SITES, PEOPLE)
    one = run.phases[phase]
    assert node_std(run, one) == pytest.approx(one.noise_multiplier * one.clip_norm / math.sqrt(2))
    assert round_event(run, one) == round_event(run.model_copy(), one)
    assert broken_multiplier(run, one) == pytest.approx(one.noise_multiplier / math.sqrt(2))
    assert grid_for(run, one) == grid_for(config(SITES, PEOPLE, seed=None), one)


# -- refused or impossible -------------------------------------------------------------------------------


def test_several_local_steps_per_round_cannot_be_configured() -> None:
    base = config(SITES, PEOPLE).phases[0].model_dump()
    for name in ("local_steps", "local_epochs", "gradient_steps"):
        with pytest.raises(ValidationError, match=name):
            Phase.model_validate(base | {name: 2})


def test_distributed_noise_always_has_pads() -> None:
    assert run_params(config(SITES, PEOPLE)).pads
    with pytest.raises(ValidationError, match="pads"):
        RunConfig.model_validate(config(SITES, PEOPLE).model_dump() | {"pads": False})


def test_the_quorum_rule() -> None:
    with pytest.raises(ValidationError, match="max_colluding"):
        config(SITES, PEOPLE, quorum=2)
    run = config(SITES, PEOPLE, nodes=4, quorum=3)
    require_cohort(run, 3)
    for refused in (lambda: require_cohort(run, 2), lambda: spend_for(run, Attempt(1, 1), (1, 2))):
        with pytest.raises(ConfigError, match="below the quorum of 3"):
            refused()


def test_the_grid_rule() -> None:
    """Distributed noise of less than four grid steps is refused with the bits that would do; local is not."""
    coarse = {"bits": 6}
    phase = config(SITES, PEOPLE).phases[0]
    with pytest.raises(ConfigError, match="use bits = "):
        grid_for(config(SITES, PEOPLE, **coarse), phase)
    grid_for(config(SITES, PEOPLE, noise="local", **coarse), phase)
    for bits in (13, 16, 20):
        run = config(SITES, PEOPLE, bits=bits)
        assert 4 * grid_for(run, phase).grid.step <= node_std(run, phase)


def test_what_rounding_costs_is_negligible_beside_delta() -> None:
    run = config(SITES, PEOPLE)
    assert grid_for(run, run.phases[0]).added_delta * run.rounds < 1e-6 * run.budget.delta
    louder = tuple(one.model_copy(update={"noise_multiplier": 1.2 * one.noise_multiplier}) for one in run.phases)
    tiny = config(SITES, PEOPLE, budget=Budget(delta=1e-220, ple_sigma=1.0)).model_copy(update={"phases": louder})
    tiny = with_fewest_bits(tiny)  # a step that is just below a quarter of the noise
    with pytest.raises(ConfigError, match=r"adds .* to delta"):
        grid_for(tiny, tiny.phases[0])


def test_seeded_runs_are_marked_insecure_in_the_ledger() -> None:
    seeded, real = (spend_for(config(SITES, PEOPLE, seed=seed), Attempt(1, 1), (1, 2, 3)) for seed in (7, None))
    assert seeded.insecure
    assert seeded.to_json()["insecure"] is True
    assert not real.insecure
    assert isinstance(source(7), SeededRandom)
    assert source(7).insecure
    assert isinstance(source(None), SystemRandom)
    assert not source(None).insecure


def test_every_attempt_draws_its_own_batch_and_noise(
    task: MaskingTask, people: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a seed no stream can be asked for twice: the same batch with fresh noise cannot happen."""
    run = task.run.model_copy(update={"seed": None})
    batches: list[bytes] = []
    inner = Trainer.clipped_sum

    def seen(self: Trainer, phase: int, batch: Any, stream: Any) -> Any:
        batches.append(batch.tobytes())
        return inner(self, phase, batch, stream)

    monkeypatch.setattr(Trainer, "clipped_sum", seen)
    updates = [Trainer(run, task, people).update(1, 3).values for _ in range(3)]
    assert len(set(batches)) == 3  # equal by chance with probability 2^-42 a pair
    assert not np.array_equal(updates[0], updates[1])


def test_a_phase_that_cannot_be_accounted_cannot_be_configured() -> None:
    base = config(SITES, PEOPLE).phases[0].model_dump()
    for wrong in ({"noise_multiplier": 0.0}, {"sample_rate": 0.0}, {"sample_rate": 1.5}, {"clip_norm": 0.0}):
        with pytest.raises(ValidationError):
            Phase.model_validate(base | wrong)
    assert issubclass(ConfigError, AfmlError)
