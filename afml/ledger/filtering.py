"""The verifier's own privacy filter: what runs come to whose plans may depend on what earlier runs returned.

While sum mu_j^2 <= B^2 over adaptively chosen mu_j-GDP blocks, the whole is B-GDP (Smith, Thakurta 2022; Koskela,
Tobaben, Honkela 2023). Full-batch steps are such blocks exactly. The subsampled steps of one run are one, up to an
event of probability r: delta(e) <= r + (1 - r) delta_mu(e) for all e >= 0. Written apart from `afml.privacy.budget`,
on dp-accounting's privacy loss distributions instead of Opacus' random variables.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from dp_accounting.pld import privacy_loss_distribution as pld
from scipy.optimize import brentq
from scipy.stats import norm

from afml.ledger.independent import INTERVAL, Spend
from afml.ledger.independent import spend as composed

Block = Mapping[tuple[float, float], int]
"""(sample rate, noise multiplier) -> steps, of one run."""

SHARE = 1e-2
"""r of one block, as a part of delta."""


def spend(blocks: Sequence[Block], delta: float) -> Spend:
    """What adaptively chosen runs come to; one alone, or full batches alone, compose as fixed.

    Args:
        blocks: What each run is charged.
        delta: Target.
    """
    used = [block for block in blocks if block]
    if len(used) <= 1 or not any(_subsampled(block) for block in used):
        together: dict[tuple[float, float], int] = {}
        for block in used:
            for kind, steps in block.items():
                together[kind] = together.get(kind, 0) + steps
        return composed(together, delta) if together else Spend(0.0, 0.0)
    squares, residual = 0.0, 0.0
    for block in used:
        squares += math.fsum(steps / z**2 for (q, z), steps in block.items() if q == 1.0)
        if part := _subsampled(block):
            squares += _certified(part, delta) ** 2
            residual += SHARE * delta
    mu = math.sqrt(squares)
    if not math.isfinite(mu) or delta <= residual:
        return Spend(math.inf, math.inf)
    # Dominated at delta' >= delta: the demand of r + (1 - r) delta_mu on the GDP curve is largest at epsilon(delta).
    epsilon = _epsilon(mu, (delta - residual) / (1 - residual))
    return Spend(epsilon, _through(epsilon, delta))


def _subsampled(block: Block) -> tuple[tuple[float, float, int], ...]:
    return tuple((q, z, steps) for (q, z), steps in sorted(block.items()) if q != 1.0)


@functools.lru_cache(maxsize=128)
def _certified(part: tuple[tuple[float, float, int], ...], delta: float) -> float:
    """Smallest mu of a block, over a grid of epsilons up to where only r is left."""
    r = SHARE * delta
    total = pld.identity(value_discretization_interval=INTERVAL)
    for q, z, steps in part:
        one = pld.from_gaussian_mechanism(z, sampling_prob=q, value_discretization_interval=INTERVAL)
        total = total.compose(one.self_compose(steps))
    top = float(total.get_epsilon_for_delta(r))
    if not math.isfinite(top):
        return math.inf
    epsilons = np.linspace(0.0, top, 257)
    deltas = (np.asarray(total.get_delta_for_epsilon(epsilons), dtype=np.float64) - r) / (1 - r)
    return max((_through(float(e), float(d)) for e, d in zip(epsilons, deltas, strict=True) if d > 0), default=0.0)


def _delta(mu: float, epsilon: float) -> float:
    """Dong, Roth, Su 2022, Cor. 2.13."""
    below = math.exp(min(700.0, epsilon + float(norm.logcdf(-epsilon / mu - mu / 2))))
    return float(norm.cdf(-epsilon / mu + mu / 2)) - below


def _through(epsilon: float, delta: float) -> float:
    """mu of the GDP curve through (epsilon, delta)."""
    high = 1.0
    while _delta(high, epsilon) < delta:
        high *= 2
    low = 1e-6
    return 0.0 if _delta(low, epsilon) > delta else float(brentq(lambda mu: _delta(mu, epsilon) - delta, low, high))


def _epsilon(mu: float, delta: float) -> float:
    """epsilon of the GDP curve at delta."""
    if _delta(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while _delta(mu, high) > delta:
        high *= 2
    return float(brentq(lambda epsilon: _delta(mu, epsilon) - delta, 0.0, high))
