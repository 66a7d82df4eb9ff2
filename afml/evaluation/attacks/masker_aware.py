"""Masker-aware linkage: mask every candidate with the public model and look for the record among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Int8
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.attacks.scoring import Linkage, Standing, standing


def differing_sites(left: Int8, right: Int8) -> NDArray[np.float32]:
    """Number of sites at which two records differ: float32[len(left), len(right)], exact below 2^24 sites."""
    varies = np.flatnonzero(((left != left[:1]).any(axis=0)) | ((right != left[:1]).any(axis=0)))
    left, right = left[:, varies], right[:, varies]
    same = np.zeros((len(left), len(right)), dtype=np.float32)
    for value in np.unique(left):
        same += (left == value).astype(np.float32) @ (right == value).astype(np.float32).T
    return np.asarray(len(varies) - same)


class MaskDistance:
    """Number of sites at which patterns differ from what the public model would release for candidates."""

    def __init__(self, case: Case) -> None:
        self._patterns, _ = case.patterns
        self._masks, self._mask_of = case.masks
        few = len(self._masks) * 4 < len(self._mask_of)
        self._known = differing_sites(self._patterns, self._masks) if few else None

    def block(self, part: slice) -> NDArray[np.float32]:
        """[patterns, candidates of `part`]."""
        chosen = self._mask_of[part]
        if self._known is not None:
            return np.take(self._known, chosen, axis=1)
        return differing_sites(self._patterns, self._masks[chosen])


class MaskerAwareLinkage(Linkage):
    """Nearest masked reference profile wins; equally near candidates are told apart by likelihood.

    The strongest attack on a release that depends on the genome: an attacker who runs the public model on a
    reference profile predicts which genotypes it keeps, and not only what they are.
    """

    name = "masker-aware"
    guess = "every candidate masked with the public model, the nearest wins"

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        likelihood, apart = RecordLikelihood(case), MaskDistance(case)
        # One site outweighs any likelihood: below 14 a site, the channel's floor being 1e-6.
        weight = 2.0 ** np.ceil(np.log2(case.released.shape[1] * 16 + 1))

        def score(part: slice) -> NDArray[Any]:
            scores = apart.block(part).astype(np.float64)
            scores *= -weight
            scores += likelihood.block(part)
            return scores

        return standing(case, score)
