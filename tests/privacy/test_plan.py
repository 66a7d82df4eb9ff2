"""Plans: shares of the squared budget, reserve included, and what a run may spend in all."""

from __future__ import annotations

import math

import pytest

from afml.core.errors import ConfigError
from afml.privacy.calibrate import BudgetShare, noise_multipliers_for
from afml.privacy.events import SubsampledGaussian, gaussian_rounds
from afml.privacy.plan import PhaseShare, calibrated, planned_events
from afml.privacy.ple import ple
from tests.privacy.test_noise import config, phase

DELTA = 1e-5


def test_a_plan_meets_its_target_with_every_reserved_attempt() -> None:
    shares = [PhaseShare("risk", 20, 1.0, 0.9), PhaseShare("game", 4, 0.1, 0.1)]
    zs = calibrated(shares, ple_sigma=0.9, delta=DELTA, reserve=1)
    events = [gaussian_rounds(s.sample_rate, z, s.rounds + 1) for s, z in zip(shares, zs, strict=True)]
    assert 0.9 * 0.995 <= ple(events, DELTA).sigma <= 0.9
    assert zs == noise_multipliers_for(0.9, [BudgetShare(21, 1.0, 0.9), BudgetShare(5, 0.1, 0.1)], delta=DELTA)


def test_full_batches_share_the_square_of_the_budget_exactly() -> None:
    first, second = calibrated(
        [PhaseShare("a", 8, 1.0, 3.0), PhaseShare("b", 15, 1.0, 1.0)], ple_sigma=2.0, delta=DELTA, reserve=1
    )
    assert math.sqrt(9) / first == pytest.approx(2.0 * math.sqrt(0.75), rel=1e-4)
    assert math.sqrt(16) / second == pytest.approx(2.0 * math.sqrt(0.25), rel=1e-4)


def test_the_only_phase_gets_everything_whatever_its_weight() -> None:
    alone = [calibrated([PhaseShare("a", 24, 1.0, w)], ple_sigma=0.5, delta=DELTA, reserve=1) for w in (0.1, 1.0)]
    assert alone[0] == alone[1] == [pytest.approx(10.0)]


@pytest.mark.parametrize(
    "share",
    [PhaseShare("game", 0, 0.1), PhaseShare("game", 4, 0.0), PhaseShare("game", 4, 1.1), PhaseShare("game", 4, 0.1, 0)],
)
def test_an_impossible_phase_is_named(share: PhaseShare) -> None:
    with pytest.raises(ConfigError, match="phase game") as caught:
        calibrated([PhaseShare("risk", 4, 1.0), share], ple_sigma=0.9, delta=DELTA, reserve=1)
    assert "\n" not in str(caught.value)


def test_plans_need_phases_and_a_reserve() -> None:
    with pytest.raises(ConfigError, match="needs phases"):
        calibrated([], ple_sigma=0.9, delta=DELTA, reserve=1)
    with pytest.raises(ConfigError, match="reserve"):
        calibrated([PhaseShare("risk", 4, 1.0)], ple_sigma=0.9, delta=DELTA, reserve=-1)


def test_a_run_may_spend_every_phase_with_its_reserve() -> None:
    run = config(phases=(phase(rounds=4), phase(rate=0.2, rounds=3)), reserve_attempts=2)
    assert planned_events(run) == (SubsampledGaussian(1.0, 5.0, 6), SubsampledGaussian(0.2, 5.0, 5))
