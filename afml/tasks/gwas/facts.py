"""What a scan knows of public people: how genotypes become a person's scores, and what a score's sum is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.tasks.gwas.basis import Basis

Float64 = NDArray[np.float64]
_LEAST = 0.1


@dataclass(frozen=True, eq=False)
class ScoredSites:
    """Sites whose scores are released together, as the public panel sees them.

    Attributes:
        genotypes: The panel's people there, centred and without ancestry, [panel people, sites].
        cuts: Blocks of linked sites.
        fitted: Directions of ancestry that were fitted to these people.
    """

    genotypes: Float64
    cuts: Sequence[slice]
    fitted: int

    @cached_property
    def basis(self) -> Basis:
        """The basis of the release."""
        return Basis.of(self.genotypes, self.cuts)

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

    def directions(self, genotypes: Float64) -> Float64:
        """w B g of people, at most 1 long, [people, sites]; `genotypes` are centred and without ancestry."""
        forward = self.basis.forward(genotypes)
        return np.asarray(forward * self.weights(forward)[:, None])

    @cached_property
    def moments(self) -> tuple[Float64, Float64]:
        """Panel means of w g^2 and of w^2 g^2, [sites] each.

        Directions that were fitted to the panel's people take more out of them than out of anybody else, by
        components / people of it: that is put back. A site that hardly varies on the panel says nothing of how it
        varies elsewhere, and counts as one of a tenth of the median's variance.
        """
        weights, square = self.weights(self._forward)[:, None], np.square(self.genotypes)
        kept = 1.0 - self.fitted / len(self.genotypes)
        found = (weights * square).mean(axis=0) / kept, (np.square(weights) * square).mean(axis=0) / kept
        first, second = (np.maximum(one, max(_LEAST * float(np.median(one)), 1e-12)) for one in found)
        return first, second
