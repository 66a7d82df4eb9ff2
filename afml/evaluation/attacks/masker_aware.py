"""Masker-aware linkage: mask every candidate with the public model and look for the record among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Int8
from afml.evaluation.attacks.deviations import Deviations, looked_up
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.attacks.scoring import Linkage, Standing, standing


class MaskDistance:
    """Number of sites at which patterns differ from what the public model would release for candidates."""

    def __init__(self, case: Case) -> None:
        patterns, _ = case.patterns
        self._masks, self._mask_of = case.masks
        self._unlike = Deviations(patterns)
        # What a deviation changes of a distance from the usual record, by the value that a mask shows there.
        shown = np.arange(-1, 3)
        usual = self._unlike.base[self._unlike.site]
        differs = (self._unlike.value[:, None] != shown).astype(np.float32)
        self._change = differs - (usual[:, None] != shown)
        few = len(self._masks) * 4 < len(self._mask_of)
        self._known = self._apart(self._masks) if few else None

    def _apart(self, masks: Int8) -> NDArray[np.float32]:
        """float32[patterns, masks], whole numbers."""
        common = np.count_nonzero(masks != self._unlike.base, axis=1).astype(np.float32)
        return self._unlike.added(common, looked_up(self._change, masks, self._unlike.site))

    def block(self, part: slice) -> NDArray[np.float32]:
        """[patterns, candidates of `part`]."""
        chosen = self._mask_of[part]
        if self._known is not None:
            return np.take(self._known, chosen, axis=1)
        return self._apart(self._masks[chosen])


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
