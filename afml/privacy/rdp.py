"""Renyi DP (Mironov, Talwar, Zhang 2019), with the divergences of Opacus: holds everything, and is looser.

Opacus is imported late: it imports torch.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from afml.privacy.events import Composition
from afml.privacy.profile import Floats

ORDERS = np.concatenate([np.arange(1.1, 11.0, 0.1).round(1), np.arange(11.0, 65.0), 2.0 ** np.arange(7, 11)])


class Rdp:
    """Renyi divergences at ORDERS, converted to epsilon."""

    name = "RDP"

    def profile(self, composition: Composition, delta: float) -> RenyiProfile:
        """The divergences hold at every `delta`."""
        return renyi(composition)


ACCOUNTANT = Rdp()


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
