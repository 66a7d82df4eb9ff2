"""Privacy profiles: delta as a function of epsilon, with the moments and tails of the privacy loss.

Here are the interface and the closed form of a mu-GDP mechanism, which all else is measured by; the form
that an accountant finds stands in the accountant's own file. Every number is an upper bound on the true
one, except `mean` and `sd`, which are the distribution's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr

from afml.core.roots import root

Floats = NDArray[np.float64]


class Profile(Protocol):
    """What is known about a composed mechanism."""

    @property
    def accountant(self) -> str:
        """Name of the accountant that made it."""
        ...

    @property
    def mean(self) -> float | None:
        """Mean privacy loss, infinity mass apart; None where only a bound is known."""
        ...

    @property
    def sd(self) -> float | None:
        """Standard deviation of the privacy loss, infinity mass apart; None where only a bound is known."""
        ...

    def delta(self, epsilon: ArrayLike) -> Floats:
        """delta at each epsilon >= 0."""
        ...

    def epsilon(self, delta: float) -> float:
        """Smallest epsilon >= 0 at `delta`; infinite where there is none."""
        ...

    def tail(self, loss: float) -> float:
        """P(privacy loss >= `loss`), an upper bound."""
        ...


def gdp_delta(mu: ArrayLike, epsilon: ArrayLike) -> Floats:
    """delta(eps) = Phi(-eps/mu + mu/2) - exp(eps) Phi(-eps/mu - mu/2) (Dong, Roth, Su 2022, Cor. 2.13).

    Args:
        mu: In sigma, >= 0; broadcasts against `epsilon`.
        epsilon: Any real.
    """
    mu_, eps = np.broadcast_arrays(np.asarray(mu, dtype=np.float64), np.asarray(epsilon, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = eps / mu_
        # exp(eps) * Phi(...) as one exponential: exp(eps) alone overflows where the product is tiny.
        delta = ndtr(mu_ / 2 - ratio) - np.exp(eps + log_ndtr(-ratio - mu_ / 2))
    without = np.maximum(0.0, -np.expm1(np.minimum(eps, 0.0)))  # mu = 0: nothing is learnt
    return np.asarray(np.where(mu_ == 0, without, np.clip(delta, 0.0, 1.0)), dtype=np.float64)


def gdp_epsilon(mu: float, delta: float) -> float:
    """Smallest epsilon >= 0 with gdp_delta(mu, epsilon) <= delta."""
    if mu <= 0 or float(gdp_delta(mu, 0.0)) <= delta:
        return 0.0
    if delta <= 0 or not math.isfinite(mu):
        return math.inf
    # P(N(mu^2/2, mu^2) >= x) bounds delta(x), and Phi(-40) is below the smallest float.
    highest = mu * mu / 2 + 40 * mu
    return root(lambda eps: float(gdp_delta(mu, eps)) - delta, 0.0, highest, xtol=1e-13)


@dataclass(frozen=True)
class GaussianProfile:
    """A composition of full-batch Gaussian mechanisms: exactly mu-GDP, loss ~ N(mu^2/2, mu^2)."""

    mu: float
    accountant: str = "closed form"

    @property
    def mean(self) -> float:
        """mu^2 / 2."""
        return self.mu**2 / 2

    @property
    def sd(self) -> float:
        """mu."""
        return self.mu

    def delta(self, epsilon: ArrayLike) -> Floats:
        """See `Profile`."""
        return gdp_delta(self.mu, epsilon)

    def epsilon(self, delta: float) -> float:
        """See `Profile`."""
        return gdp_epsilon(self.mu, delta)

    def tail(self, loss: float) -> float:
        """See `Profile`."""
        return float(ndtr((self.mean - loss) / self.mu)) if self.mu else float(loss <= 0)
