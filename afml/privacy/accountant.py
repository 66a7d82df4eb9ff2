"""Composed privacy of a list of events, by the closed form, Opacus PRV, or Renyi DP, in this order.

- Only full-batch Gaussians: the closed form, exact.
- Else the privacy random variables of Gopi, Lee, Wutschitz 2021 as Opacus implements them, on a grid
  of about half a million points; the reported value is the upper end of its error interval.
- Where that grid cannot hold the mechanism (very little noise, extreme rates): Renyi DP
  (Mironov, Talwar, Zhang 2019), valid and looser. The result says which accountant spoke.

`epsilon_pld` is the second opinion: dp-accounting's privacy loss distributions, an independent
implementation with pessimistic rounding (Doroshenko et al. 2022). The ledger's verifier uses that
library on its own and shares no code with this file. This is the only file outside
`afml.training` that imports Opacus, and it does so late: importing Opacus imports torch.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from afml.core.errors import ConfigError
from afml.privacy.events import Composition, Event, compose
from afml.privacy.profile import DiscreteProfile, GaussianProfile, Profile, RenyiProfile

GRID_POINTS = 2**19
EPSILON_ERROR = (1e-5, 0.01)  # finest worth having, coarsest still good enough for a guarantee
ORDERS = np.concatenate([np.arange(1.1, 11.0, 0.1).round(1), np.arange(11.0, 65.0), 2.0 ** np.arange(7, 11)])


@dataclass(frozen=True)
class Epsilon:
    """epsilon at delta, and the accountant that computed it ("closed form", "PRV" or "RDP")."""

    value: float
    delta: float
    accountant: str


def require_delta(delta: float) -> None:
    """Refuse a delta outside (0, 1).

    Raises:
        ConfigError: It is outside.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta must be strictly between 0 and 1, not {delta!r}", where="delta")


def profile(events: Sequence[Event], delta: float) -> Profile:
    """The privacy profile of `events`, accurate at `delta` and above.

    Raises:
        ConfigError: `delta` is outside (0, 1).
    """
    require_delta(delta)
    return composed_profile(compose(events), delta)


def epsilon(events: Sequence[Event], delta: float) -> Epsilon:
    """epsilon of `events` at `delta`.

    Raises:
        ConfigError: `delta` is outside (0, 1).
    """
    found = profile(events, delta)
    return Epsilon(found.epsilon(delta), delta, found.accountant)


@functools.lru_cache(maxsize=256)
def composed_profile(composition: Composition, delta: float) -> Profile:
    """`profile` of events that are already gathered; `delta` must be in (0, 1)."""
    if not composition.subsampled:
        return GaussianProfile(composition.gaussian_mu)
    try:
        return _prv(composition, delta)
    except (RuntimeError, ValueError, OverflowError, FloatingPointError, MemoryError):
        return renyi(composition)


def _prv(composition: Composition, delta: float) -> Profile:
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
        half_width = prv.compute_safe_domain_size(variables, steps, EPSILON_ERROR[1], delta_error)
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
        accountant="PRV",
    )


def renyi(composition: Composition) -> RenyiProfile:
    """Renyi divergences of a composition at ORDERS."""
    from opacus.accountants.analysis.rdp import compute_rdp

    total = ORDERS * composition.gaussian_mu**2 / 2
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for q, z, steps in composition.subsampled:
            values = []
            for order in ORDERS:
                try:
                    value = compute_rdp(q=q, noise_multiplier=z, steps=steps, orders=float(order))
                    values.append(float(value))
                except (OverflowError, ValueError):
                    values.append(math.inf)  # an order that cannot be evaluated proves nothing
            total = total + np.array(values)
    total = np.where(np.isfinite(total), total, np.inf)
    return RenyiProfile(ORDERS, total)


def epsilon_pld(events: Sequence[Event], delta: float, *, interval: float = 1e-4) -> float:
    """epsilon by dp-accounting's privacy loss distributions: pessimistic, hence an upper bound.

    Args:
        events: What ran.
        delta: Target.
        interval: Grid of the privacy loss.
    """
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    require_delta(delta)
    accountant = PLDAccountant(value_discretization_interval=interval)
    composition = compose(events)
    if composition.gaussian_mu > 0:
        accountant.compose(dp_event.GaussianDpEvent(1 / composition.gaussian_mu))
    for q, z, steps in composition.subsampled:
        step = dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(z))
        accountant.compose(dp_event.SelfComposedDpEvent(step, steps))
    return float(accountant.get_epsilon(delta))
