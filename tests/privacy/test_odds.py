"""The trade-off curve in plain odds against a search over every epsilon that the PLE speaks about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from afml.privacy.odds import ACCUSED, OF, most_found, odds, right_guesses
from afml.privacy.profile import gdp_delta


def searched(mu: float, top: float, rate: float) -> float:
    """The definition, on a fine grid of epsilons."""
    epsilons = np.linspace(0.0, top, 20_001)
    deltas = gdp_delta(mu, epsilons)
    steep = np.exp(epsilons) * rate + deltas
    shallow = 1 - np.exp(-epsilons) * (1 - deltas - rate)
    return float(min(1.0, steep.min(), shallow.min()))


@given(mu=st.floats(0.05, 4), top=st.floats(0.01, 12), rate=st.floats(1e-4, 0.999))
def test_it_is_the_least_that_any_epsilon_allows(mu: float, top: float, rate: float) -> None:
    found = float(most_found(mu, top, rate))
    assert found == pytest.approx(max(rate, searched(mu, top, rate)), abs=2e-5)
    assert found >= float(ndtr(ndtri(rate) + mu)) - 1e-9  # never less than the whole curve: that may not hold


def test_without_a_limit_it_is_the_gaussian_curve() -> None:
    rates = np.linspace(0.001, 0.999, 97)
    np.testing.assert_allclose(most_found(0.9, 50.0, rates), ndtr(ndtri(rates) + 0.9), atol=1e-9)


def test_the_ends() -> None:
    assert [point.found for point in odds(0.0, 0.0)] == list(ACCUSED)
    assert [point.found for point in odds(math.inf, math.inf)] == [OF] * len(ACCUSED)
    assert (right_guesses(0.0), right_guesses(math.inf)) == (0.5, 1.0)
    assert right_guesses(1.0) == pytest.approx(float(ndtr(0.5)))
