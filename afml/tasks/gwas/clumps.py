"""Clumps: the sites that lead their neighbourhood, and which of the others they stand for.

As in PLINK (Purcell et al. 2007): from the strongest score down, a site that is significant leads a clump of the free
sites within 1 Mb whose r^2 with it is 0.1 or more on the panel. A strong lead leaves shadows at sites of less r^2 too:
with a score of 60, a site of r^2 = 0.01 is expected to have one of 6. A further site within 1 Mb of a lead therefore
leads only if it is significant beside the leads there (as in COJO: Yang et al. 2012, with the panel's linkage), with
the error of the panel's linkage counted. Both can be had: `conditional` is a switch, and all sites are in the table
anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.tasks.gwas.pvalues import neg_log10_p

Float64 = NDArray[np.float64]
GENOME_WIDE = 5e-8
LINKED, WINDOW = 0.1, 1_000_000


@dataclass(frozen=True)
class Clump:
    """A lead and the sites that it stands for.

    Attributes:
        lead: Site number.
        score: Of the lead, beside stronger leads within the window where it has such.
        members: Sites of r^2 at or above `LINKED` with it, the lead among them, ascending.
    """

    lead: int
    score: float
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Places:
    """Where sites are and how they are linked.

    Attributes:
        chrom: Contig of each.
        pos: Position of each; genome order.
        genotypes: The panel's, centred, [panel people, sites]; of no rows where the panel has no people.
        error: Standard error of each site's effect per standard deviation of its genotype, [sites]; None: all alike.
    """

    chrom: Sequence[str]
    pos: NDArray[np.int64]
    genotypes: Float64
    error: Float64 | None = None

    def near(self, site: int) -> slice:
        """Sites of the same contig within the window."""

        def within(other: int) -> bool:
            return self.chrom[other] == self.chrom[site] and abs(int(self.pos[other] - self.pos[site])) <= WINDOW

        first = last = site
        while first > 0 and within(first - 1):
            first -= 1
        while last + 1 < len(self.pos) and within(last + 1):
            last += 1
        return slice(first, last + 1)

    def correlation(self, site: int, others: slice) -> Float64:
        """r of one site with others on the panel; all 0 but its own where the panel has no people, [others]."""
        found = np.zeros(others.stop - others.start)
        if len(self.genotypes):
            own, rest = self.genotypes[:, site], self.genotypes[:, others]
            length = np.linalg.norm(rest, axis=0) * np.linalg.norm(own)
            found = (own @ rest) / np.where(length > 0, length, 1.0)
        found[site - others.start] = 1.0
        return np.asarray(found)


def clumped(
    score: Float64, places: Places, *, threshold: float = GENOME_WIDE, most: int | None = None, conditional: bool = True
) -> list[Clump]:
    """Clumps, the strongest first.

    Args:
        score: Standard normal where there is no effect, [sites].
        places: Of the sites.
        threshold: Largest p-value of a lead.
        most: Stop at so many.
        conditional: Whether a further lead must be significant beside the leads within the window.
    """
    least = -np.log10(threshold)
    error = np.ones(len(score)) if places.error is None else places.error
    rest, variance = score.astype(np.float64).copy(), np.ones(len(score))
    free = np.ones(len(score), dtype=bool)
    people = max(1, len(places.genotypes))
    clumps: list[Clump] = []
    while most is None or len(clumps) < most:
        standard = np.where(free, rest / np.sqrt(variance), 0.0)
        lead = int(np.argmax(np.abs(standard)))
        if not free[lead] or neg_log10_p(standard[lead : lead + 1])[0] < least:
            break
        near = places.near(lead)
        r = places.correlation(lead, near)
        linked = np.square(r) >= LINKED
        if not len(places.genotypes):  # what is linked is not known: the whole window is
            linked[:] = True
        clumps.append(Clump(lead, float(standard[lead]), tuple((np.flatnonzero(linked) + near.start).tolist())))
        if conditional:
            # What the lead's effect makes others expect, in their own standard errors; the lead's score has error 1,
            # the panel's r one of (1 - r^2) / sqrt(people).
            strong, less = rest[lead], error[lead] / error[near]
            rest[near] -= r * strong * less
            variance[near] += np.square(r * less) + np.square((1.0 - np.square(r)) * strong * less) / people
        free[np.flatnonzero(linked) + near.start] = False
    return sorted(clumps, key=lambda clump: -abs(clump.score))
