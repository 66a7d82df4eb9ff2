"""PLE and profiles against closed forms, published values and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from afml.core.errors import ConfigError
from afml.privacy import accountant
from afml.privacy.accountant import epsilon, profile
from afml.privacy.events import Gaussian, SubsampledGaussian, compose
from afml.privacy.ple import attacker_tpr, gdp_delta, gdp_epsilon, mu_from, ple
from afml.privacy.profile import GaussianProfile
from afml.privacy.prv import DiscreteProfile
from afml.privacy.rdp import renyi

DELTA = 1e-5
mus = st.floats(0.05, 6)
epsilons = st.floats(0, 12)


def slow_gdp_delta(mu: float, eps: float) -> float:
    """Hockey-stick divergence of N(mu, 1) and N(0, 1), by quadrature over the line."""
    x = np.linspace(-12, 12 + mu, 400_001)
    gap = norm.pdf(x, mu) - math.exp(eps) * norm.pdf(x)
    return float(np.trapezoid(np.maximum(gap, 0), x))


@pytest.mark.parametrize(("mu", "eps"), [(0.5, 0.0), (1.0, 1.0), (1.0, 4.377), (2.5, 3.0), (0.3, 0.7)])
def test_gdp_delta_is_the_hockey_stick_divergence(mu: float, eps: float) -> None:
    assert float(gdp_delta(mu, eps)) == pytest.approx(slow_gdp_delta(mu, eps), abs=1e-9)


def test_published_values() -> None:
    # Dong, Roth, Su 2022, Fig. 1 and the text: mu = 1 is (4.38, 1e-5)-DP.
    assert gdp_epsilon(1.0, DELTA) == pytest.approx(4.377178, abs=1e-5)
    # Balle, Wang 2018: sigma = 1, epsilon = 1 gives delta = 0.126936.
    assert float(gdp_delta(1.0, 1.0)) == pytest.approx(0.12693674, abs=1e-7)
    # The documentation of Google's accounting library: sigma 1, 4 releases = mu 2.
    assert ple([Gaussian(1.0)] * 4, DELTA).sigma == pytest.approx(2.0)


def test_measured_reference() -> None:
    found = ple([SubsampledGaussian(0.1, 1.5, 100)], DELTA)
    assert found.accountant == "PRV"
    assert found.epsilon == pytest.approx(3.536, abs=0.01)
    assert found.sigma == pytest.approx(0.831, abs=0.002)
    assert found.at_delta == pytest.approx(0.831, abs=0.002)
    assert epsilon([SubsampledGaussian(0.1, 1.5, 100)], DELTA, "PLD").value == pytest.approx(3.536, abs=0.001)


@given(mus, epsilons)
def test_mu_from_inverts_gdp_delta(mu: float, eps: float) -> None:
    delta = float(gdp_delta(mu, eps))
    if 1e-12 < delta < 1 - 1e-9:
        assert float(mu_from(eps, delta)) == pytest.approx(mu, rel=1e-6)


@given(mus, st.floats(1e-9, 0.2))
def test_gdp_epsilon_inverts_gdp_delta(mu: float, delta: float) -> None:
    eps = gdp_epsilon(mu, delta)
    if eps > 0:
        assert float(gdp_delta(mu, eps)) == pytest.approx(delta, rel=1e-6)
    else:
        assert float(gdp_delta(mu, 0)) <= delta


def test_extremes_of_the_closed_form() -> None:
    assert gdp_epsilon(0.0, DELTA) == 0.0
    assert gdp_epsilon(1.0, 0.0) == math.inf
    assert float(gdp_delta(0.0, 1.0)) == 0.0
    assert float(gdp_delta(0.0, -1.0)) == pytest.approx(1 - math.exp(-1))
    assert float(gdp_delta(60.0, 1.0)) == 1.0
    assert float(gdp_delta(0.01, 500.0)) == 0.0
    assert float(mu_from(1.0, 0.0)) == 0.0
    assert float(mu_from(1.0, 1.0)) == math.inf
    assert math.isfinite(gdp_epsilon(100.0, 1e-12))


@given(st.lists(st.tuples(st.floats(0.5, 50), st.integers(1, 30)), min_size=1, max_size=4))
def test_full_batch_composition_is_the_root_of_the_sum_of_squares(parts: list[tuple[float, int]]) -> None:
    events = [SubsampledGaussian(1.0, z, steps) for z, steps in parts]
    found = ple(events, DELTA)
    assert found.sigma == pytest.approx(math.sqrt(sum(n / z**2 for z, n in parts)))
    assert found.accountant == "closed form"
    assert found.loss_mean == pytest.approx(found.sigma**2 / 2)
    assert found.loss_sd == pytest.approx(found.sigma)


def test_the_prv_grid_agrees_with_the_closed_form() -> None:
    # A rate so near 1 that the mechanism is the full-batch one, through the numerical path.
    numeric = ple([SubsampledGaussian(1 - 1e-9, 5.0, 20)], DELTA)
    exact = ple([SubsampledGaussian(1.0, 5.0, 20)], DELTA)
    assert numeric.accountant == "PRV"
    assert numeric.sigma == pytest.approx(exact.sigma, abs=0.002)
    assert numeric.epsilon == pytest.approx(exact.epsilon, abs=0.005)
    assert numeric.loss_mean == pytest.approx(exact.loss_mean, abs=0.002)
    assert numeric.loss_sd == pytest.approx(exact.loss_sd, abs=0.002)


CASES = [
    [SubsampledGaussian(0.01, 0.8, 300)],
    [SubsampledGaussian(0.5, 3.0, 20), Gaussian(4.0)],
    [SubsampledGaussian(0.2, 2.0, 50), SubsampledGaussian(0.05, 1.0, 100)],
    [SubsampledGaussian(0.001, 0.4, 10)],
    [SubsampledGaussian(0.3, 30.0, 5)],
]


@pytest.mark.parametrize("events", CASES)
def test_two_accountants_agree_and_renyi_is_above(events: list[SubsampledGaussian]) -> None:
    first, second = epsilon(events, DELTA), epsilon(events, DELTA, "PLD").value
    assert first.accountant == "PRV"
    assert abs(first.value - second) <= max(0.02, 0.02 * second)
    assert renyi(compose(events)).epsilon(DELTA) >= second - 1e-3


@pytest.mark.parametrize("events", CASES)
def test_ple_dominates_the_whole_profile_and_no_smaller_mu_does(events: list[SubsampledGaussian]) -> None:
    found, curve = ple(events, DELTA), profile(events, DELTA)
    grid = np.linspace(0, found.epsilon, 777)
    assert (gdp_delta(found.sigma, grid) >= curve.delta(grid) - 1e-12).all()
    assert (gdp_delta(found.sigma * 0.999, grid) < curve.delta(grid)).any()
    assert found.at_delta <= found.sigma


@pytest.mark.parametrize("events", CASES)
def test_removing_a_person_is_the_worse_direction(events: list[SubsampledGaussian]) -> None:
    # Opacus composes the removal direction only; dp-accounting has both, and takes the larger.
    from dp_accounting.pld import privacy_loss_distribution as pld

    total = pld.identity()
    for event in events:
        if isinstance(event, SubsampledGaussian):
            one = pld.from_gaussian_mechanism(event.noise_multiplier, sampling_prob=event.sample_rate)
            total = total.compose(one.self_compose(event.steps))
    grid = np.linspace(0, epsilon(events, DELTA, "PLD").value, 50)
    removal = np.array(total._pmf_remove.get_delta_for_epsilon(list(grid)))
    addition = np.array(total._pmf_add.get_delta_for_epsilon(list(grid)))
    assert (removal >= addition * (1 - 1e-7) - 1e-12).all()  # equal at epsilon 0, up to rounding


def test_tails_against_simulation() -> None:
    q, z, steps = 0.2, 1.2, 10
    rng = np.random.default_rng(5)
    n = 200_000
    loss = np.zeros(n)
    for _ in range(steps):
        x = rng.normal(size=n) * z + (rng.random(n) < q)
        loss += np.log(1 - q + q * np.exp((2 * x - 1) / (2 * z * z)))
    found = ple([SubsampledGaussian(q, z, steps)], DELTA)
    assert found.loss_mean == pytest.approx(loss.mean(), abs=4 * loss.std() / math.sqrt(n))
    assert found.loss_sd == pytest.approx(loss.std(), rel=0.02)
    for tail in found.tails:
        seen = (loss >= tail.loss).mean()
        # Four standard errors: a false alarm once in 16,000 seeds; the seed is fixed.
        assert tail.exact == pytest.approx(seen, abs=4 * math.sqrt(seen / n) + 2e-3 * seen)
        assert tail.exact <= tail.cantelli == 1 / (1 + tail.k**2)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.02, 0.9), st.floats(0.7, 8.0), st.integers(1, 60), st.floats(1.05, 1.6), st.integers(1, 40))
def test_monotone_in_every_argument(q: float, z: float, steps: int, factor: float, more: int) -> None:
    def at(q: float, z: float, steps: int, delta: float = DELTA) -> tuple[float, float]:
        found = ple([SubsampledGaussian(q, z, steps)], delta)
        return found.sigma, found.epsilon

    slack = 0.01  # each value is the upper end of its own error interval
    for harder, easier in (
        (at(q, z, steps), at(q, z * factor, steps)),
        (at(q, z, steps + more), at(q, z, steps)),
        (at(min(1.0, q * factor), z, steps), at(q, z, steps)),
        (at(q, z, steps, DELTA / 10), at(q, z, steps, DELTA)),
    ):
        assert harder[0] >= easier[0] - slack
        assert harder[1] >= easier[1] - slack


def test_attacker_gain_of_a_gaussian_is_the_textbook_curve() -> None:
    rates = np.array([0.001, 0.01, 0.1])
    expected = norm.cdf(norm.ppf(rates) + 1.2)
    assert attacker_tpr(GaussianProfile(1.2), rates) == pytest.approx(expected)
    # The same from the profile alone, through the numerical path.
    numeric = profile([SubsampledGaussian(1 - 1e-9, 1 / 1.2, 1)], DELTA)
    assert attacker_tpr(numeric, rates) == pytest.approx(expected, abs=2e-3)


def test_renyi_takes_over_where_the_grid_cannot_and_says_so() -> None:
    # Hardly any noise: losses far beyond any grid that would be fine enough.
    found = ple([SubsampledGaussian(0.5, 0.05, 1000)], DELTA)
    assert found.accountant == "RDP"
    assert found.epsilon > 1000
    assert found.tails == ()


def test_renyi_profile_is_consistent_with_itself() -> None:
    found = renyi(compose([Gaussian(2.0)]))
    assert float(found.delta(found.epsilon(DELTA))) == pytest.approx(DELTA, rel=1e-6)
    assert found.epsilon(DELTA) >= gdp_epsilon(0.5, DELTA)
    assert found.tail(3.0) >= GaussianProfile(0.5).tail(3.0)


def test_discrete_profile_against_a_direct_sum() -> None:
    losses, masses = np.array([-0.5, 0.0, 0.5, 1.0]), np.array([0.2, 0.3, 0.3, 0.19])
    found = DiscreteProfile(losses, masses, infinity_mass=0.01, accountant="test")
    for eps in (0.0, 0.2, 0.7, 1.5):
        slow = 0.01 + sum(m * max(0.0, 1 - math.exp(eps - loss)) for loss, m in zip(losses, masses, strict=True))
        assert float(found.delta(eps)) == pytest.approx(slow)
    assert float(found.delta(found.epsilon(0.1))) == pytest.approx(0.1)
    assert found.epsilon(0.01) == math.inf
    assert found.tail(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, float("nan")])
def test_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta"):
        accountant.profile([Gaussian(1.0)], delta)


def test_nothing_spent_is_nothing_lost() -> None:
    found = ple([], DELTA)
    assert (found.sigma, found.epsilon) == (0.0, 0.0)
