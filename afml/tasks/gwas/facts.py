"""What a scan knows of public people: how genotypes become a person's scores, and what a score's sum is worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sites import SitePanel
from afml.tasks.gwas.basis import Basis, block_cuts
from afml.tasks.gwas.panel import Ancestry, Centring

Float64 = NDArray[np.float64]
_VALUES_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False)
class PublicFacts:
    """Public people at the agreed sites, seen through the scan's centring, ancestry and basis.

    Attributes:
        sites: The agreed sites.
        dosage: The panel's people, int8 [panel people, sites].
        centring: Of dosages.
        ancestry: Directions that are taken out.
        most: Sites of a block of the basis.
    """

    sites: SitePanel
    dosage: NDArray[np.int8]
    centring: Centring
    ancestry: Ancestry
    most: int

    @cached_property
    def genotypes(self) -> Float64:
        """The panel's people, centred and without ancestry, [panel people, sites]."""
        return self.ancestry.removed(self.centring.standardised(self.dosage))

    @cached_property
    def basis(self) -> Basis:
        """The basis of the release. Sites drawn independently are not linked: each is a block of its own."""
        most = 1 if self.sites.drawn_people else self.most
        return Basis.of(self.genotypes, block_cuts(self.sites.chrom, self.sites.pos, most))

    @cached_property
    def _forward(self) -> Float64:
        return self.basis.forward(self.genotypes)

    @cached_property
    def length(self) -> float:
        """Median length of a panel person's genotypes in the basis: longer ones are shortened to it."""
        return max(float(np.median(np.linalg.norm(self._forward, axis=1))), 1e-9)

    def weights(self, forward: Float64) -> Float64:
        """w of people: with it, nobody's genotypes in the basis are longer than 1, [people]."""
        return np.asarray(1.0 / np.maximum(np.linalg.norm(forward, axis=1), self.length))

    def directions(self, standardised: Float64) -> Float64:
        """w B g of people, at most 1 long, [people, sites].

        Args:
            standardised: `Centring.standardised` of their dosages.
        """
        forward = self.basis.forward(self.ancestry.removed(standardised))
        return np.asarray(forward * self.weights(forward)[:, None])

    @cached_property
    def moments(self) -> tuple[Float64, Float64]:
        """Panel means of w g^2 and of w^2 g^2, [sites] each.

        Directions that were fitted to the panel's people take more out of them than out of anybody else, by
        components / people of it: that is put back.
        """
        weights, square = self.weights(self._forward)[:, None], np.square(self.genotypes)
        people = len(self.genotypes)
        fitted = 1.0 - len(self.ancestry.directions) / people
        return (weights * square).mean(axis=0) / fitted, (np.square(weights) * square).mean(axis=0) / fitted
