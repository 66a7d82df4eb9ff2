"""PLE by hand: dp-accounting alone, nothing of ours between a mechanism's parameters and the answer.

Poisson batches of rate q, Gaussian noise z, T steps: a privacy loss distribution (Koskela et al. 2020; Doroshenko et
al. 2022) gives delta at every epsilon; PLE is the largest mu with delta(epsilon; mu) (Dong, Roth, Su 2022, Cor. 2.13)
equal to it, over all epsilon whose delta is at least the target.
"""

from __future__ import annotations

import math

import numpy as np
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from scipy.optimize import brentq
from scipy.stats import norm

_POINTS = 200


def ple_by_hand(sample_rate: float, noise_multiplier: float, steps: int, delta: float) -> float:
    """PLE in sigma of `steps` Poisson-sampled Gaussian mechanisms, for every delta' >= delta."""
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    step = PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier))
    accountant.compose(SelfComposedDpEvent(step, steps))
    top = accountant.get_epsilon(delta)
    return max(_mu(epsilon, accountant.get_delta(epsilon)) for epsilon in np.linspace(0, top, _POINTS))


def noise_by_hand(ple_sigma: float, sample_rate: float, steps: int, delta: float) -> float:
    """The smallest noise multiplier that comes to this PLE, to a ten-thousandth."""
    near = sample_rate * math.sqrt(steps) / ple_sigma  # the central limit's
    found = brentq(
        lambda z: ple_by_hand(sample_rate, z, steps, delta) - ple_sigma, max(0.3, near / 2), 3 * near + 1, xtol=1e-4
    )
    return float(found)


def _mu(epsilon: float, delta: float) -> float:
    """The mu of the Gaussian trade-off through (epsilon, delta)."""

    def gap(mu: float) -> float:
        least = float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))
        return least - delta

    return float(brentq(gap, 1e-9, 100.0)) if delta > 0 else 0.0
