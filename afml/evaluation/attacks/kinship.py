"""Kinship linkage: the candidate most related to the released record. It needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import MASKED, Case
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
        patterns, _ = case.patterns
        records = exact_directions(np.where(patterns == MASKED, 0.0, (patterns - centre) / scale))

        def score(part: slice) -> NDArray[Any]:
            calls = case.references[part]
            candidates = exact_directions(np.where(calls < 0, 0.0, (calls - means) / scale))
            return records @ candidates.T

        return standing(case, score)
