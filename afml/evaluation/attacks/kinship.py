"""Kinship linkage: the candidate most related to the released record. It needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import MASKED, Case, Float64, Int8
from afml.evaluation.attacks.deviations import Deviations
from afml.evaluation.attacks.scoring import Linkage, Standing, exact_directions, standing


class KinshipLinkage(Linkage):
    """Genomic relationship (VanRaden 2008, method 2) of record and candidate, as a correlation over sites.

    Genotypes are centred on the panel and scaled by sqrt(2p(1-p)). A record under fill 'major' is centred
    on what the public model shows on the panel, so that a site that nearly always shows 0 says nothing by
    showing 0; under fill 'missing' only shown genotypes count.
    """

    name = "kinship"
    guess = "the candidate most related to the record"

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        knowledge = case.knowledge
        means = knowledge.frequencies @ np.arange(3)
        scale = np.sqrt(np.maximum(means * (1 - means / 2), 1e-6))
        centre = means if knowledge.fill == "missing" else knowledge.released_panel.mean(axis=0)
        unlike = Deviations(case.patterns[0])

        def centred(values: Int8, site: NDArray[np.int64]) -> Float64:
            return np.asarray(np.where(values == MASKED, 0.0, (values - centre[site]) / scale[site]))

        # A record is what most records show and a few deviations; its length does not matter to who is most related.
        every = np.arange(len(means))
        usual, shown = centred(unlike.base, every), centred(unlike.value, unlike.site)
        change = shown - usual[unlike.site]
        # Directions are multiples of 2^-24, and a product of vectors is at most that of their lengths: with records
        # on this grid every sum is exact in 53 bits.
        length = np.linalg.norm(usual) + np.linalg.norm(change)
        step = 2.0 ** (np.ceil(np.log2(max(float(length), 1.0))) - 27)
        usual, change = np.round(usual / step) * step, np.round(change / step) * step

        def score(part: slice) -> NDArray[Any]:
            calls = case.references[part]
            candidates = exact_directions(np.where(calls < 0, 0.0, (calls - means) / scale))
            terms = np.ascontiguousarray(candidates[:, unlike.site].T)
            terms *= change[:, None]
            return unlike.added(candidates @ usual, terms)

        return standing(case, score)
