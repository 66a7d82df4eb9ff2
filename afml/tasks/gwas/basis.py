"""The basis in which scores are released: linked sites share their noise, so all of them get less of it.

A person's genotypes g at the sites of a block have correlation R on the panel. Releasing B g instead of g, and taking
the sums back with B^-1, gives the same unbiased score of every site. The noise that a person's length calls for is then
proportional to sqrt(trace(B R B')), and that of a site's score to sqrt((B'B)^-1_jj). The mean variance over sites is
least where B'B = R^(-1/2) (the matrix mechanism: Li et al. 2015, "The matrix mechanism", for a quadratic bound): it is
trace(R^(1/2))^2 / sites instead of sites. R is public and only has to be about right: the scores are exact in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
#: Sites further apart than this are in different blocks.
FARTHEST_LINK = 1_000_000
_LEAST_SHRINKAGE = 0.02


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive sites.

    Attributes:
        sites: Which.
        forward: B, symmetric, [sites of the block, the same].
        backward: Its inverse.
    """

    sites: slice
    forward: Float64
    backward: Float64


class Basis:
    """A block-diagonal change of basis of the sites.

    Args:
        blocks: In order; together all sites.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        self.variance = np.concatenate([np.square(block.backward).sum(axis=1) for block in self.blocks])
        """Variance of a site's score for noise of variance 1 in the basis, [sites]."""

    @classmethod
    def of(cls, genotypes: Float64, cuts: Sequence[slice]) -> Basis:
        """The basis for blocks of sites.

        Args:
            genotypes: The panel's, centred and without ancestry, [panel people, sites].
            cuts: The blocks.
        """
        return cls([_block(genotypes[:, sites], sites) for sites in cuts])

    def forward(self, genotypes: Float64) -> Float64:
        """B g of people, [people, sites]."""
        return np.concatenate([genotypes[:, block.sites] @ block.forward for block in self.blocks], axis=1)

    def backward(self, sums: Float64) -> Float64:
        """Scores of the sites from sums in the basis, [sites]."""
        return np.concatenate([block.backward @ sums[block.sites] for block in self.blocks])


def block_cuts(chrom: Sequence[str], pos: NDArray[np.int64], most: int) -> list[slice]:
    """Blocks of at most so many consecutive sites of one contig; a long stretch is cut at its widest gaps.

    Args:
        chrom: Contig of each site.
        pos: Position of each; sites are in genome order.
        most: Sites of a block.
    """
    count = len(chrom)
    joined = [chrom[i] == chrom[i - 1] and pos[i] - pos[i - 1] <= FARTHEST_LINK for i in range(1, count)]
    cuts, start = [], 0
    for end in [i + 1 for i, same in enumerate(joined) if not same] + [count]:
        while end - start > most:
            candidates = np.arange(start + max(1, most // 2), start + most + 1)
            cut = int(candidates[np.argmax(pos[candidates] - pos[candidates - 1])])
            cuts.append(slice(start, cut))
            start = cut
        if end > start:
            cuts.append(slice(start, end))
        start = end
    return cuts


def shrunk_correlation(genotypes: Float64) -> Float64:
    """Correlation of sites on the panel, pulled to the identity as far as its own errors say.

    Schaefer, Strimmer (2005), eq. 8 with the asymptotic variance of a correlation.

    Args:
        genotypes: [panel people, sites], centred.
    """
    people, sites = genotypes.shape
    spread = np.sqrt(np.square(genotypes).mean(axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    found = (genotypes.T @ genotypes) / people / np.outer(spread, spread)
    off = found[~np.eye(sites, dtype=bool)]
    share = 1.0
    if off.size and np.square(off).sum() > 0:
        share = float(np.square(1.0 - np.square(off)).sum() / max(1, people - 1) / np.square(off).sum())
    share = min(1.0, max(_LEAST_SHRINKAGE, share))
    found *= 1.0 - share
    found[np.diag_indices(sites)] = 1.0
    return np.asarray(found)


def _block(genotypes: Float64, sites: slice) -> Block:
    if genotypes.shape[1] == 1:
        return Block(sites, np.ones((1, 1)), np.ones((1, 1)))
    values, vectors = np.linalg.eigh(shrunk_correlation(genotypes))
    root = np.maximum(values, 1e-6) ** 0.25
    return Block(sites, (vectors / root) @ vectors.T, (vectors * root) @ vectors.T)
