"""Release method "levels": levels of the scores, each shown as any common genotype that its people carry.

Where files are small, a pattern must be carried by a large part of the people. Genotypes of two major alleles are
carried by most, and one site may stand for several levels; then there is nearly always one that fits. Such dosages tell
a linear model little: what a pattern says is in the table beside the release (`afml.release.table`), and recipients
train on that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.codebook import common_genotypes
from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook
from afml.release.quantiser import learn


class ScoreLevels(ReleaseMethod):
    """Single genotypes of the panel, those of two major alleles among them."""

    name = "levels"
    title = "levels of the scores"
    compared = True
    fills = ("missing",)  # a genotype of two major alleles is nothing to see under "major"
    tabled = True

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """A codebook of common genotypes of all kinds."""
        pool = common_genotypes(people, (0, 1, 2))
        return learn(people, model.risk_score(people), pool, patterns=patterns, min_share=share, tabled=True)


METHOD = ScoreLevels()
