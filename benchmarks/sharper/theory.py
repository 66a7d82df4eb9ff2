"""What there is to gain, before anything is trained: sites without LD, the prior known, the best estimate there is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.sharper.mechanism import Strategy

_SEED, _WORLDS = 1, 200
Stages = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Sequence:
    """Independent sites, some of them causal, each seen through noise; sums over people in clip norms.

    Attributes:
        sites, causal: How many.
        people: Who train.
        mechanism: Standard deviation of the mechanism's noise in one sum, all rounds together.
        heritability: Of the liability; cases are those above its median.
    """

    sites: int
    causal: int
    people: int
    mechanism: float
    heritability: float = 0.5

    @property
    def variance(self) -> float:
        """Of a feature: the typical person has length 2."""
        return 4 / self.sites

    @property
    def sampling(self) -> float:
        """Standard deviation of a sum over people who are drawn."""
        return math.sqrt(self.people * self.variance / 4)

    @property
    def signal(self) -> float:
        """Root mean square of a causal site's sum."""
        correlation = math.sqrt(2 / math.pi * self.heritability / self.causal)  # of case and site
        return self.people * 0.5 * math.sqrt(self.variance) * correlation

    @property
    def worth(self) -> float:
        """People who would tell as much without a mechanism."""
        return self.people / (1 + (self.mechanism / self.sampling) ** 2)

    def reached(self, stages: Stages = ((1.0, 0),)) -> float:
        """Mean correlation of the best score with the genetic part of the liability.

        Args:
            stages: (share of the budget, sites measured with it; 0: all); which ones, the stages before say.
        """
        rng = np.random.default_rng(_SEED)
        shape = (_WORLDS, self.sites)
        causal = rng.random(shape).argsort(axis=1) < self.causal
        truth = np.where(causal, self.signal * rng.standard_normal(shape), 0.0)
        drawn = truth + self.sampling * rng.standard_normal(shape)
        known, seen, active = np.zeros(shape), np.zeros(shape), np.ones(shape, np.bool_)
        for share, kept in stages:
            if 0 < kept < self.sites:
                size = np.where(active, np.abs(seen), -1.0)
                active &= size >= np.partition(size, self.sites - kept, axis=1)[:, [self.sites - kept]]
            # Fewer sites are longer for the same clip norm: their noise falls with the root of their number.
            precision = share * active * (self.sites / (kept or self.sites)) / self.mechanism**2
            noisy = drawn + rng.standard_normal(shape) / np.sqrt(np.maximum(precision, 1e-12))
            seen = (known * seen + precision * noisy) / np.maximum(known + precision, 1e-12)
            known = known + precision
        best = self._mean(seen, 1 / np.maximum(known, 1e-12) + self.sampling**2)
        agreement = (best * truth).sum(axis=1) / np.sqrt((best**2).sum(axis=1) * (truth**2).sum(axis=1))
        return float(agreement.mean())

    def _mean(self, seen: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Posterior mean under the true prior: a share of the sites N(0, signal^2), the others 0."""
        share, spread = self.causal / self.sites, self.signal**2
        log_ratio = 0.5 * (seen**2 * spread / (variance * (variance + spread)) - np.log1p(spread / variance))
        there = 1 / (1 + (1 - share) / share * np.exp(-np.minimum(log_ratio, 700)))
        return np.asarray(there * spread / (spread + variance) * seen)


#: Selections that the theory table shows: shares of the budget and sites.
SELECTIONS: dict[str, Stages] = {
    "all sites": ((1.0, 0),),
    "the better half": ((0.3, 0), (0.7, 512)),
    "the best 256": ((0.4, 0), (0.6, 256)),
    "the best 128": ((0.5, 0), (0.5, 128)),
    "512, 256, 128 in turn": ((0.25, 0), (0.25, 512), (0.25, 256), (0.25, 128)),
}


def table(people: int, mechanism: float, sites: int, causal: int) -> dict[str, object]:
    """All figures of the theory, for the report."""

    def world(factor: float, count: int = sites) -> Sequence:
        return Sequence(count, causal, people, factor * mechanism)

    base = world(1.0)
    return {
        "mechanism_over_sampling_variance": round((base.mechanism / base.sampling) ** 2, 2),
        "people": people,
        "people_worth": round(base.worth),
        "signal_over_noise": round(base.signal / math.hypot(base.mechanism, base.sampling), 2),
        "by_noise": {
            f"{factor:g}": round(world(factor).reached(), 3) for factor in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.0001)
        },
        "by_sites": {str(count): round(world(1.0, count).reached(), 3) for count in (1024, 512, 256, 128)},
        "by_selection": {name: round(base.reached(stages), 3) for name, stages in SELECTIONS.items()},
        "strategies": {
            f"{bands} bands, {'one round each' if once else 'every round'}": round(Strategy(20, bands, once).cost, 3)
            for once in (False, True)
            for bands in (1, 2, 4, 20)
        },
    }
