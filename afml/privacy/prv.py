"""The privacy random variables of Gopi, Lee, Wutschitz 2021, composed by Opacus on a grid.

The reported value is the upper end of the grid's error interval. Opacus is imported late: it imports torch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from afml.privacy.events import Composition
from afml.privacy.profile import Floats

GRID_POINTS = 2**19
EPSILON_ERROR = (1e-5, 0.01)  # finest worth having, coarsest still good enough for a guarantee


class Prv:
    """Privacy loss distributions on a grid of about GRID_POINTS points."""

    name = "PRV"

    def profile(self, composition: Composition, delta: float) -> DiscreteProfile | None:
        """None where no grid of this size holds the mechanism: very little noise, extreme rates."""
        try:
            return _composed(composition, delta)
        except (RuntimeError, ValueError, OverflowError, FloatingPointError, MemoryError):
            return None


ACCOUNTANT = Prv()


def _composed(composition: Composition, delta: float) -> DiscreteProfile:
    """Opacus PRV on a grid of GRID_POINTS.

    Raises:
        ValueError: No grid of this size is fine enough, or the result is not a distribution.
        RuntimeError: Opacus finds that its grid misses the mechanism's mean.
    """
    from opacus.accountants.analysis import prv

    delta_error = delta / 1000
    mechanisms = [(z, q, n) for q, z, n in composition.subsampled]
    if composition.gaussian_mu > 0:
        # All full-batch Gaussians are one Gaussian: exact, and one grid instead of many.
        mechanisms.append((1 / composition.gaussian_mu, 1.0, 1))
    steps = [n for _, _, n in mechanisms]
    variables = [prv.PoissonSubsampledGaussianPRV(q, z) for z, q, _ in mechanisms]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        half_width = _half_width(mechanisms, delta_error)
        mesh_per_error = 1 / math.sqrt(sum(steps) * math.log(12 / delta_error) / 2)  # Gopi et al., Thm 5.5
        epsilon_error = max(EPSILON_ERROR[0], 2 * half_width / GRID_POINTS / mesh_per_error)
        if not epsilon_error <= EPSILON_ERROR[1]:
            raise ValueError("the grid would be too coarse")
        domain = prv.Domain.create_aligned(-half_width, half_width, epsilon_error * mesh_per_error)
        truncated = [prv.TruncatedPrivacyRandomVariable(v, domain.t_min, domain.t_max) for v in variables]
        composed = prv.compose_heterogeneous([prv.discretize(t, domain) for t in truncated], steps)
    masses = np.asarray(composed.pmf, dtype=np.float64)
    if not (np.isfinite(masses).all() and abs(masses.sum() - 1) < delta_error):
        raise ValueError("the composed masses do not add up to one")
    return DiscreteProfile(
        np.asarray(composed.domain.ts, dtype=np.float64),
        masses,
        epsilon_error=epsilon_error,
        delta_error=delta_error,
        accountant=Prv.name,
    )


def _half_width(mechanisms: Sequence[tuple[float, float, int]], delta_error: float) -> float:
    """What `compute_safe_domain_size` of Opacus returns (Gopi et al., remark 5.6), bit for bit.

    Nine tenths of its time are Renyi divergences. It computes those of every mechanism twice, and again for every
    number of steps.

    Args:
        mechanisms: (noise multiplier, sample rate, steps) of each.
        delta_error: Of the composed profile.
    """
    from opacus.accountants.analysis.rdp import get_privacy_spent

    orders, one_step = _orders(), [_divergences(z, q) for z, q, _ in mechanisms]
    steps = [n for _, _, n in mechanisms]
    all_steps = sum(rdp * n for rdp, n in zip(one_step, steps, strict=True))
    widest, _ = get_privacy_spent(orders=orders, rdp=all_steps, delta=delta_error / 4)
    for rdp in one_step:
        alone, _ = get_privacy_spent(orders=orders, rdp=rdp, delta=delta_error / (8 * sum(steps)))
        widest = max(widest, alone)
    return float(max(widest, EPSILON_ERROR[1])) + 3


def _orders() -> list[float]:
    from opacus.accountants import RDPAccountant

    return list(RDPAccountant.DEFAULT_ALPHAS)


@lru_cache(maxsize=256)
def _divergences(noise_multiplier: float, sample_rate: float) -> Floats:
    """Renyi divergences of one step at Opacus's orders."""
    from opacus.accountants.analysis.rdp import compute_rdp

    return np.asarray(compute_rdp(q=sample_rate, noise_multiplier=noise_multiplier, steps=1, orders=_orders()))


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
