from __future__ import annotations

import math

import pytest

from afml.consortium.run import Budget
from afml.core.errors import BudgetError, ConfigError
from afml.privacy.budget import RESIDUAL, balance, certify, check, filtered, used
from afml.privacy.calibrate import (
    BudgetShare,
    noise_multiplier_for,
    noise_multiplier_for_epsilon,
    noise_multipliers_for,
)
from afml.privacy.events import Gaussian, SubsampledGaussian
from afml.privacy.ple import gdp_delta, ple
from afml.privacy.profile import GaussianProfile

DELTA = 1e-5


def test_full_batches_have_a_closed_form() -> None:
    z = noise_multiplier_for(0.9, rounds=100, sample_rate=1.0, delta=DELTA)
    assert z == pytest.approx(math.sqrt(100) / 0.9, rel=1e-4)
    assert ple([SubsampledGaussian(1.0, z, 100)], DELTA).sigma <= 0.9


@pytest.mark.parametrize(("target", "rounds", "rate"), [(0.831, 100, 0.1), (0.2, 10, 0.5), (2.0, 50, 0.02)])
def test_calibration_inverts_the_accountant(target: float, rounds: int, rate: float) -> None:
    z = noise_multiplier_for(target, rounds=rounds, sample_rate=rate, delta=DELTA)
    assert target * 0.995 <= ple([SubsampledGaussian(rate, z, rounds)], DELTA).sigma <= target


def test_epsilon_calibration() -> None:
    assert noise_multiplier_for_epsilon(3.537, rounds=100, sample_rate=0.1, delta=DELTA) == pytest.approx(1.5, abs=2e-3)


def test_a_composed_plan_meets_its_target_and_its_shares() -> None:
    zs = noise_multipliers_for(0.9, [BudgetShare(21, 1.0, 3.0), BudgetShare(30, 0.2, 1.0)], delta=DELTA)
    events = [SubsampledGaussian(1.0, zs[0], 21), SubsampledGaussian(0.2, zs[1], 30)]
    assert 0.9 * 0.995 <= ple(events, DELTA).sigma <= 0.9
    assert ple(events[:1], DELTA).sigma == pytest.approx(0.9 * math.sqrt(0.75), rel=0.02)
    full = noise_multipliers_for(1.0, [BudgetShare(4, 1.0), BudgetShare(16, 1.0)], delta=DELTA)
    assert sum(n / z**2 for n, z in zip((4, 16), full, strict=True)) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_impossible_targets_are_refused(target: float) -> None:
    with pytest.raises(ConfigError):
        noise_multiplier_for(target, rounds=1, sample_rate=0.5, delta=DELTA)


def test_a_budget_allows_up_to_its_limit_and_says_what_would_fit() -> None:
    budget = Budget(delta=DELTA, ple_sigma=1.0)
    spent: list[Gaussian] = []
    for _ in range(16):
        spent.append(Gaussian(4.0))
        check(budget, spent)
    with pytest.raises(BudgetError, match=r"charged 1, left 0; no further run fits"):
        check(budget, [Gaussian(4.0)], earlier=[spent])
    with pytest.raises(BudgetError, match=r"left 0; ask for more$"):
        check(budget, [Gaussian(4.0)], earlier=[spent], cure="ask for more")
    with pytest.raises(BudgetError, match=r"the noise would fit: .* `afml configure --ple`; or ask for more$"):
        check(budget, [Gaussian(3.0)], earlier=[spent[:15]], cure="ask for more")
    with pytest.raises(BudgetError, match=r"charged 0\.9682, left 0\.25; 1\.3\d* times the noise would fit") as caught:
        check(budget, [Gaussian(3.0)], earlier=[spent[:15]])
    assert caught.value.exit_code == 3
    fits = float(str(caught.value).split("; ")[-1].split()[0])
    check(budget, [Gaussian(3.0 * fits)], earlier=[spent[:15]])


def test_epsilon_budgets() -> None:
    budget = Budget(delta=DELTA, epsilon=4.0)
    assert check(budget, [Gaussian(5.0)] * 21).left == pytest.approx(0.042, abs=1e-3)
    with pytest.raises(BudgetError, match="epsilon at delta 1e-05"):
        check(budget, [Gaussian(5.0)] * 22)


def test_a_share_of_a_budget_is_counted_where_shares_add() -> None:
    sigma, epsilon = Budget(delta=1e-5, ple_sigma=0.9), Budget(delta=1e-5, epsilon=3.0)
    assert used(sigma, 0.9) == used(epsilon, 3.0) == used(sigma, 5.0) == used(epsilon, 5.0) == 1.0
    assert used(epsilon, 1.5) == 0.5
    assert used(sigma, 0.45) == pytest.approx(0.25)
    assert used(sigma, 0.46) + used(sigma, math.sqrt(0.9**2 - 0.46**2)) == pytest.approx(1.0)
    spent = balance(sigma, [Gaussian(1 / 0.45)])
    assert spent.used == pytest.approx(0.25, abs=1e-3)


def test_the_filter_costs_nothing_for_full_batches() -> None:
    found = balance(Budget(delta=DELTA, ple_sigma=2.0), [Gaussian(2.0)], [[Gaussian(1.0)], [Gaussian(2.0)]])
    assert found.filter.sigma == found.tight.sigma == pytest.approx(math.sqrt(1.5))


def test_one_run_alone_is_composed_tightly() -> None:
    run = [SubsampledGaussian(0.1, 1.5, 100)]
    found = balance(Budget(delta=DELTA, ple_sigma=2.0), run)
    assert found.filter == found.tight


def test_the_filter_is_above_the_tight_value_and_not_far() -> None:
    run = [SubsampledGaussian(0.1, 1.5, 100)]
    found = balance(Budget(delta=DELTA, ple_sigma=2.0), run, [run, run])
    assert found.tight.sigma < found.filter.sigma < 1.1 * found.tight.sigma
    assert found.filter.accountant == "GDP filter"


def test_a_certificate_dominates_the_profile_for_all_epsilons() -> None:
    block = [SubsampledGaussian(0.1, 1.5, 100)]
    found = certify(block, DELTA)
    from afml.privacy.accountant import profile

    curve, residual = profile(block, RESIDUAL * DELTA), RESIDUAL * DELTA
    for i in range(200):
        eps = i * 0.05
        assert float(curve.delta(eps)) <= residual + (1 - residual) * float(gdp_delta(found.mu, eps)) + 1e-12
    assert found.residual == residual


def test_filters_add_squares_and_residuals() -> None:
    block = [SubsampledGaussian(0.1, 1.5, 100)]
    one = certify(block, DELTA)
    both = filtered([block, block, [Gaussian(2.0)]], DELTA)
    assert not isinstance(both, GaussianProfile)
    assert both.mu == pytest.approx(math.sqrt(2 * one.mu**2 + 0.25))  # type: ignore[attr-defined]
    assert both.residual == pytest.approx(2 * one.residual)  # type: ignore[attr-defined]


def test_a_run_that_would_pass_the_budget_because_of_earlier_ones_is_refused() -> None:
    run = [SubsampledGaussian(0.1, 1.5, 100)]
    budget = Budget(delta=DELTA, ple_sigma=1.0)
    check(budget, run)
    with pytest.raises(BudgetError, match="left"):
        check(budget, run, earlier=[run])
