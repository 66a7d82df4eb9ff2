"""Sites as blocks of the vector: distances from what the public panel expects, weighted so that errors are least.

With p the panel's frequency of the counted allele and q = 1 - p, a person of dosage d contributes

    alleles     d - 2p                                       variance 2pq
    genotypes   (d - 2p)^2 - (1 - 2p)(d - 2p) - 2pq          variance (2pq)^2

under Hardy-Weinberg proportions. The second is 2p^2, -2pq and 2q^2 for d = 0, 1 and 2: what is left of a genotype once
the number of alleles is known. It has far less variance than a count of heterozygotes, so it takes far less of the
bound; the three genotype frequencies and the distance from equilibrium follow from both sums without further noise.
Someone without a call counts as the panel expects, that is with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sites import SitePanel
from afml.tasks.release.blocks import Block, balanced_weights
from afml.tasks.statistics.settings import SiteFigure, StatisticsSettings

ALLELES, GENOTYPES, NO_CALL = "alleles", "genotypes", "missing"
_RAREST = 1e-3  # a panel's frequency of 0 would make for a weight without end
_MARGIN = 1.05  # bound over the longest vector on the panel
_SITES_AT_ONCE = 1024
_STEPS = 8  # towards the weights with the least errors: measured, more change nothing
_SEEN = 0.7  # part of what is seen on the panel in a variance; the rest is what its frequency calls for
_DRAWN_MARGIN = 1.25  # the same, where the panel's people are drawn: without linkage their vectors are more alike


@dataclass(frozen=True, eq=False)
class SiteBlocks:
    """What a vector says of sites.

    Attributes:
        panel: The sites, with the panel's frequencies.
        dosage: Of the panel's people, which the bounds are made of, int8 [panel people, S].
        figures: What is released.
        most_missing: Share of missing sites that the bound of missing calls is made for.
    """

    panel: SitePanel
    dosage: NDArray[np.int8]
    figures: tuple[SiteFigure, ...]
    most_missing: float

    def blocks(self) -> list[Block]:
        """The blocks. Their weights make the mean standard error least over all figures together.

        Of blocks with bounds b and sums E of 1/w, scaled by s, the sum of E / s is least under a bound on the sum of
        (s b)^2 where s is (b^2 / E)^(-1/3).
        """
        plain = [self._block(figure) for figure in self.figures]
        ratio = [block.bound * block.bound / math.fsum((1 / np.asarray(block.weight)).tolist()) for block in plain]
        scales = balanced_weights(np.array(ratio)).tolist() if plain else []
        return [
            replace(block, bound=scale * block.bound, weight=scale * block.weight)
            for block, scale in zip(plain, scales, strict=True)
        ]

    def _block(self, figure: SiteFigure) -> Block:
        sites = len(self.panel)
        if figure == NO_CALL:
            absent = self.most_missing * sites
            bound = math.sqrt(min(sites, absent + 3 * math.sqrt(absent) + 1))  # by chance so many
            return Block(figure, (sites,), bound, weight=np.ones(sites), sure=self.most_missing >= 1)
        weights = self._weights(figure)
        return Block(figure, (sites,), self._bound(figure, weights), weight=weights)

    def _weights(self, figure: SiteFigure) -> NDArray[np.float64]:
        """V^(-1/3) of the variance V; of alleles, V is that of the people who decide the bound.

        The least sum of 1/w under a bound on everybody's sum(w^2 x^2) is at w = (sum of a x^2)^(-1/3), where a gives
        weight to the longest people alone. A few steps towards it, on the panel. What is expected keeps a part, so
        that people who are not on the panel are no longer. Genotypes are too rare for that: 500 people fit anything.
        """
        p = np.maximum(self.panel.maf, _RAREST)
        expected = 2 * p * (1 - p)
        if figure == GENOTYPES:
            return balanced_weights(expected * expected)
        share = np.full(len(self.dosage), 1 / max(1, len(self.dosage)))
        weights = balanced_weights(expected)
        for _ in range(_STEPS):
            seen = np.zeros(len(p))
            for part, values in self._parts(figure):
                for person, own in zip(share, values, strict=True):  # one by one, in one order, as below
                    seen[part] += person * own * own
            weights = balanced_weights((1 - _SEEN) * expected + _SEEN * seen)
            length = self._squares(figure, weights)
            ratio = length / max(math.fsum(length.tolist()) / len(length), 1e-300)
            share = share * ratio * np.sqrt(ratio)
            share = share / max(math.fsum(share.tolist()), 1e-300)
        return weights

    def _bound(self, figure: SiteFigure, weights: NDArray[np.float64]) -> float:
        """Longest vector on the panel, with a margin; never more than anybody's could be."""
        every, furthest = np.array([[0], [1], [2]], np.int8), 0.0
        for start in range(0, len(weights), _SITES_AT_ONCE):
            part = slice(start, start + _SITES_AT_ONCE)
            p = self.panel.maf[part]
            extremes = np.abs(site_values(figure, np.repeat(every, len(p), axis=1), p)).max(axis=0) * weights[part]
            furthest += math.fsum((extremes * extremes).tolist())
        margin = _DRAWN_MARGIN if self.panel.drawn_people else _MARGIN
        most = margin * math.sqrt(float(self._squares(figure, weights).max(initial=0.0)))
        return min(most, math.sqrt(furthest)) if most > 0 else math.sqrt(furthest)

    def _squares(self, figure: SiteFigure, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Square of the weighted length of everybody on the panel, [panel people].

        Site by site in one order, which rounds alike everywhere: all nodes come to the same weights and bounds.
        """
        total = np.zeros(len(self.dosage))
        for part, values in self._parts(figure):
            weighted = values * weights[part]
            for site in range(weighted.shape[1]):
                total += weighted[:, site] * weighted[:, site]
        return total

    def _parts(self, figure: SiteFigure) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """(sites, values [panel people, sites]) of some sites at a time; 0 without a call."""
        for start in range(0, len(self.panel), _SITES_AT_ONCE):
            part = slice(start, start + _SITES_AT_ONCE)
            yield part, np.nan_to_num(site_values(figure, self.dosage[:, part], self.panel.maf[part]))


def site_values(figure: SiteFigure, dosage: NDArray[np.int8], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """What people contribute at every site, [people, S]; NaN without a call (but for missing calls, 1 and 0).

    Args:
        figure: Which block.
        dosage: int8 [people, S].
        p: The panel's frequencies, [S].
    """
    absent = dosage < 0
    if figure == NO_CALL:
        return absent.astype(np.float64)
    distance = dosage - 2 * p
    if figure == GENOTYPES:
        distance = distance * distance - (1 - 2 * p) * distance - 2 * p * (1 - p)
    return np.where(absent, np.nan, distance)


def counts_shortened(settings: StatisticsSettings, figures: tuple[SiteFigure, ...]) -> bool:
    """Whether somebody's sites may be longer than the bound, so that a run counts of how many that is true."""
    return any(figure != NO_CALL or settings.most_missing < 1 for figure in figures)


def site_blocks(
    settings: StatisticsSettings, figures: tuple[SiteFigure, ...], panel: SitePanel, dosage: NDArray[np.int8]
) -> list[Block]:
    """The blocks of what a run releases of sites.

    Args:
        settings: Of the run.
        figures: What it releases of sites.
        panel: The sites.
        dosage: Of the panel's people, [panel people, S].
    """
    return SiteBlocks(panel, dosage, figures, settings.most_missing).blocks()
