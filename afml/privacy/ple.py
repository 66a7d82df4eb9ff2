"""PLE, the privacy-loss estimate: how far apart "took part" and "did not" are, in units of sigma.

A mechanism is mu-GDP when telling whether a person took part is at least as hard as telling N(0, 1)
from N(mu, 1) with one draw (Dong, Roth, Su 2022). PLE is the smallest mu whose curve lies above the
accounted privacy profile at every delta' >= delta. docs/PRIVACY.md walks through every formula.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from afml.privacy.accountant import profile as accounted_profile
from afml.privacy.events import Event, gaussian_rounds
from afml.privacy.profile import Floats, GaussianProfile, Profile, gdp_delta, gdp_epsilon

__all__ = [
    "Ple",
    "Tail",
    "attacker_tpr",
    "dominating_mu",
    "gdp_delta",
    "gdp_epsilon",
    "mu_from",
    "of_rounds",
    "ple",
    "ple_of",
]

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05, 0.1)
_PROFILE_POINTS = 513


@dataclass(frozen=True)
class Tail:
    """P(privacy loss >= mean + k sd), three ways.

    Attributes:
        k: Standard deviations above the mean.
        loss: mean + k sd.
        cantelli: One-sided Chebyshev bound 1 / (1 + k^2); needs nothing but mean and sd.
        exact: From the composed distribution (an upper bound within its grid error).
        gaussian: The same threshold for an exactly PLE-GDP mechanism, loss ~ N(mu^2/2, mu^2): a
            reference line, not a bound (dominance at delta' >= delta does not order tails).
    """

    k: float
    loss: float
    cantelli: float
    exact: float
    gaussian: float


@dataclass(frozen=True)
class Ple:
    """Everything the accountant says about a list of events.

    Attributes:
        sigma: PLE, the smallest dominating mu, in sigma.
        at_delta: mu of the single point (epsilon, delta), in sigma; at most `sigma`.
        epsilon: Accounted epsilon at `delta`.
        delta: Target.
        accountant: "closed form", "PRV" or "RDP".
        loss_mean: Mean privacy loss; None where the accountant only knows a bound.
        loss_sd: Its standard deviation; None likewise.
        tails: For k = 1 .. 4; empty where mean and sd are unknown.
    """

    sigma: float
    at_delta: float
    epsilon: float
    delta: float
    accountant: str
    loss_mean: float | None
    loss_sd: float | None
    tails: tuple[Tail, ...]


def mu_from(epsilon: ArrayLike, delta: ArrayLike) -> Floats:
    """The mu with gdp_delta(mu, epsilon) = delta, elementwise; 0 where delta <= 0, infinite where delta >= 1.

    Args:
        epsilon: >= 0.
        delta: In [0, 1].
    """
    eps, target = np.broadcast_arrays(np.asarray(epsilon, np.float64), np.asarray(delta, np.float64))
    low = np.zeros(eps.shape)
    # Phi(mu/2 - eps/mu) >= delta bounds mu from above through mu/2 - eps/mu <= quantile + 40 (float range).
    high = 2 * np.sqrt(2.0) * np.sqrt(np.maximum(eps, 0)) + 100.0  # two roots: twice a large epsilon overflows
    for _ in range(80):  # bisection: gdp_delta grows with mu, and 80 halvings reach the last bit
        middle = (low + high) / 2
        above = gdp_delta(middle, eps) >= target
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    mu = np.where(target <= 0, 0.0, np.where(target >= 1, np.inf, high))
    return np.asarray(np.where(np.isinf(eps), np.inf, mu), dtype=np.float64)


def dominating_mu(found: Profile, delta: float) -> float:
    """Smallest mu whose GDP curve is on or above `found` at every delta' >= delta.

    delta' >= delta is the stretch 0 <= epsilon <= epsilon(delta) of the profile; each point of it
    demands the mu through it, and the largest demand is the answer.
    """
    if isinstance(found, GaussianProfile):
        return found.mu
    top = found.epsilon(delta)
    if not math.isfinite(top):
        return math.inf
    epsilons = np.linspace(0.0, top, _PROFILE_POINTS)
    mus = mu_from(epsilons, found.delta(epsilons))
    worst = int(np.argmax(mus))
    # Once more, finely, around the worst point: the demand is smooth there.
    around = epsilons[[max(0, worst - 1), min(_PROFILE_POINTS - 1, worst + 1)]]
    fine = np.linspace(around[0], around[1], _PROFILE_POINTS)
    return float(max(mus.max(), mu_from(fine, found.delta(fine)).max(), mu_from(top, delta)))


def ple_of(found: Profile, delta: float, *, ks: Sequence[float] = (1.0, 2.0, 3.0, 4.0)) -> Ple:
    """PLE and its companions from a profile."""
    epsilon = found.epsilon(delta)
    sigma = dominating_mu(found, delta)
    # The closed form's mu is exact; solving for it again would only add rounding.
    at_delta = sigma if isinstance(found, GaussianProfile) else float(mu_from(epsilon, delta))
    tails: list[Tail] = []
    if found.mean is not None and found.sd is not None:
        for k in ks:
            loss = found.mean + k * found.sd
            reference = GaussianProfile(sigma).tail(loss) if math.isfinite(sigma) else 1.0
            tails.append(Tail(k, loss, 1 / (1 + k * k), found.tail(loss), reference))
    return Ple(sigma, at_delta, epsilon, delta, found.accountant, found.mean, found.sd, tuple(tails))


def ple(events: Sequence[Event], delta: float) -> Ple:
    """PLE of `events` at `delta`.

    Raises:
        ConfigError: `delta` is outside (0, 1).
    """
    return ple_of(accounted_profile(events, delta), delta)


def of_rounds(noise_multiplier: float, *, sample_rate: float = 1.0, rounds: int = 1, delta: float = 1e-5) -> Ple:
    """PLE of rounds of one mechanism; `afml.privacy.ple(...)` calls it.

    Args:
        noise_multiplier: Noise standard deviation in units of the clip norm.
        sample_rate: Poisson rate in (0, 1].
        rounds: With reserved attempts.
        delta: PLE holds for every delta' >= delta.

    Raises:
        ConfigError: `delta` is outside (0, 1).
        InputError: No mechanism has such numbers.
    """
    return ple([gaussian_rounds(sample_rate, noise_multiplier, rounds)], delta)


class _Callable(ModuleType):
    """This module, called: short for its `of_rounds`, from `import afml` alone."""

    def __call__(self, *given: Any, **named: Any) -> Ple:
        return of_rounds(*given, **named)


sys.modules[__name__].__class__ = _Callable


def attacker_tpr(found: Profile, false_positive_rates: ArrayLike = FALSE_POSITIVE_RATES) -> Floats:
    """Best true-positive rate of any membership attacker at given false-positive rates, by the whole profile.

    1 - f(a) with f(a) = max over eps of {1 - delta(eps) - e^eps a, e^-eps (1 - delta(eps) - a)}
    (Wasserman, Zhou 2010; Dong, Roth, Su 2022, Prop. 2.5).
    """
    rates = np.atleast_1d(np.asarray(false_positive_rates, dtype=np.float64))
    if isinstance(found, GaussianProfile):
        return np.asarray(ndtr(ndtri(rates) + found.mu))
    top = found.epsilon(1e-12)
    epsilons = np.linspace(0.0, top if math.isfinite(top) else 50.0, 4097)
    deltas = found.delta(epsilons)
    steep = 1 - deltas - np.exp(epsilons) * rates[:, None]
    shallow = np.exp(-epsilons) * (1 - deltas - rates[:, None])
    return np.asarray(np.clip(1 - np.maximum(steep, shallow).max(axis=1), rates, 1.0))
