"""The trade-off curve in plain odds: how many people an attacker finds for how many it accuses wrongly.

What is read is a PLE, not a whole profile. A PLE of mu at delta says delta'(eps) <= gdp_delta(mu, eps) for
0 <= eps <= top, top being the accounted epsilon at delta, and nothing beyond. So no more of the curve is used:

    1 - f(a) <= min over 0 <= eps <= top of
        e^eps a + gdp_delta(mu, eps)                        (steep side)
        1 - e^-eps (1 - gdp_delta(mu, eps) - a)             (shallow side)

(Wasserman, Zhou 2010; Dong, Roth, Su 2022, Prop. 2.5). Without the limit the minimum is Phi(Phi^-1(a) + mu), reached at
eps = -mu Phi^-1(a) - mu^2 / 2, which is clipped here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from afml.privacy.profile import Floats, gdp_delta

OF = 1000
"""People on either side of an example."""
ACCUSED = (1, 10, 50, 100)
"""People of them who are accused wrongly."""


@dataclass(frozen=True)
class Odds:
    """One point of the curve, in people.

    Attributes:
        accused: Of `OF` people who did not take part, those whom an attacker takes for participants.
        found: Of `OF` people who did, those whom it finds then, at most; at `accused` it would know nothing.
    """

    accused: int
    found: float


def most_found(mu: float, top: float, rates: ArrayLike) -> Floats:
    """Best true-positive rate of any membership attacker that a PLE leaves room for.

    Args:
        mu: PLE, in sigma; infinite where nothing bounds it.
        top: Epsilon up to which the PLE's curve holds.
        rates: False-positive rates, in (0, 1).

    Returns:
        Rates, in the shape of `rates`, none below its false-positive rate.
    """
    false = np.asarray(rates, dtype=np.float64)
    if not math.isfinite(mu):
        return np.ones_like(false)
    if mu <= 0:
        return false
    touching = -mu * ndtri(false) - mu**2 / 2
    steep_at, shallow_at = np.clip(touching, 0.0, top), np.clip(-touching, 0.0, top)
    steep = np.exp(steep_at) * false + gdp_delta(mu, steep_at)
    shallow = 1 - np.exp(-shallow_at) * (1 - gdp_delta(mu, shallow_at) - false)
    return np.asarray(np.clip(np.minimum(steep, shallow), false, 1.0))


def odds(mu: float, top: float) -> tuple[Odds, ...]:
    """The curve at a few points, in people; arguments as of `most_found`."""
    found = most_found(mu, top, [accused / OF for accused in ACCUSED])
    return tuple(Odds(accused, OF * float(rate)) for accused, rate in zip(ACCUSED, found, strict=True))


def right_guesses(mu: float) -> float:
    """How often any attacker guesses right, at most, whether somebody took part, where both are equally likely.

    (1 + delta(0)) / 2: half for who knows nothing.
    """
    return 1.0 if not math.isfinite(mu) else 0.5 + float(gdp_delta(mu, 0.0)) / 2
