"""Privacy profiles: delta as a function of epsilon, with the moments and tails of the privacy loss.

Three forms, one interface: the closed form of a mu-GDP mechanism, a composed privacy loss
distribution on a grid (Gopi, Lee, Wutschitz 2021), and a Renyi bound (Mironov 2017) for what the
grid cannot hold. Every number is an upper bound on the true one, except `mean` and `sd`, which are
the distribution's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

Floats = NDArray[np.float64]


class Profile(Protocol):
    """What is known about a composed mechanism."""

    @property
    def accountant(self) -> str:
        """Which accountant made it: "closed form", "PRV" or "RDP"."""
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
    return float(brentq(lambda eps: float(gdp_delta(mu, eps)) - delta, 0.0, highest, xtol=1e-13))


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


class DiscreteProfile:
    """A composed privacy loss distribution on an ascending grid.

    Args:
        losses: float64[grid], ascending.
        masses: float64[grid], probabilities under the distribution with the person.
        infinity_mass: Probability of an infinite loss.
        epsilon_error: delta(eps) <= delta_grid(eps - epsilon_error) + delta_error (Gopi et al., Thm 5.5).
        delta_error: See `epsilon_error`.
        accountant: Its name.
    """

    def __init__(
        self,
        losses: Floats,
        masses: Floats,
        *,
        infinity_mass: float = 0.0,
        epsilon_error: float = 0.0,
        delta_error: float = 0.0,
        accountant: str,
    ) -> None:
        masses = np.maximum(masses, 0.0)  # the FFT leaves negative dust of the order of 1e-17
        self.accountant = accountant
        self.infinity_mass, self.epsilon_error, self.delta_error = infinity_mass, epsilon_error, delta_error
        finite = masses.sum()
        self.mean: float = float(losses @ masses / finite)
        self.sd: float = math.sqrt(float((losses - self.mean) ** 2 @ masses / finite))
        # Only non-negative epsilons are asked for, and exp(-loss) of the far left would amplify the dust.
        kept = losses >= -1.0
        self._losses, kept_masses = losses[kept], masses[kept]
        self._upper = np.append(np.cumsum(kept_masses[::-1])[::-1], 0.0)
        self._lower = np.append(np.cumsum((kept_masses * np.exp(-self._losses))[::-1])[::-1], 0.0)

    def _grid_delta(self, epsilon: Floats) -> Floats:
        index = np.searchsorted(self._losses, epsilon, side="right")
        return np.asarray(self.infinity_mass + self._upper[index] - np.exp(epsilon) * self._lower[index])

    def delta(self, epsilon: ArrayLike) -> Floats:
        """See `Profile`."""
        shifted = np.asarray(epsilon, dtype=np.float64) - self.epsilon_error
        return np.clip(self._grid_delta(shifted) + self.delta_error, 0.0, 1.0)

    def epsilon(self, delta: float) -> float:
        """See `Profile`."""
        target = delta - self.delta_error
        if self.infinity_mass >= target:
            return math.inf
        # Between two grid points delta(eps) = upper - exp(eps) lower: solve in the first bin reaching it.
        at_points = self.infinity_mass + self._upper[:-1] - np.exp(self._losses) * self._lower[:-1]
        index = int(np.searchsorted(-at_points, -target, side="left"))
        if index >= len(self._losses):
            return math.inf
        above = self.infinity_mass + self._upper[index] - target
        epsilon = math.log(above / self._lower[index]) if above > 0 else -math.inf
        return max(0.0, epsilon + self.epsilon_error)

    def tail(self, loss: float) -> float:
        """See `Profile`. Exact up to the grid: masses above `loss` less the coupling error of the grid."""
        index = int(np.searchsorted(self._losses, loss - self.epsilon_error, side="left"))
        return min(1.0, float(self._upper[index]) + self.infinity_mass + self.delta_error)


@dataclass(frozen=True)
class RenyiProfile:
    """Renyi divergences at a set of orders; valid for every mechanism, looser than a loss distribution.

    Attributes:
        orders: float64[orders], > 1.
        divergences: float64[orders], RDP at each order.
    """

    orders: Floats
    divergences: Floats
    accountant: str = "RDP"
    mean: float | None = None
    sd: float | None = None

    def delta(self, epsilon: ArrayLike) -> Floats:
        """Canonne, Kamath, Steinke 2020, Prop. 12: delta <= exp((a-1)(rdp - eps)) / (a-1) * (1 - 1/a)^a."""
        eps = np.asarray(epsilon, dtype=np.float64)[..., None]
        a = self.orders
        with np.errstate(over="ignore", invalid="ignore"):
            log_delta = (a - 1) * (self.divergences - eps) - np.log(a - 1) + a * np.log1p(-1 / a)
            return np.asarray(np.exp(np.minimum(0.0, np.nan_to_num(log_delta, nan=0.0).min(axis=-1))))

    def epsilon(self, delta: float) -> float:
        """The same bound solved for epsilon (Balle et al. 2020, Thm 21)."""
        a = self.orders
        eps = self.divergences - (math.log(delta) + np.log(a)) / (a - 1) + np.log1p(-1 / a)
        return max(0.0, float(np.nanmin(eps)))

    def tail(self, loss: float) -> float:
        """Chernoff: P(L >= x) <= exp((a-1)(rdp - x)), smallest over the orders."""
        with np.errstate(over="ignore"):
            return float(np.exp(np.minimum(0.0, ((self.orders - 1) * (self.divergences - loss)).min())))
