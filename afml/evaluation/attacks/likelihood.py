"""Likelihood linkage: the candidate under whom the released record is most probable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case
from afml.evaluation.attacks.scoring import Linkage, Standing, exact_terms, standing


class RecordLikelihood:
    """log P(released record | candidate's reference profile), sites taken as independent.

    Per site `P(o | r) = sum_g P(g | r) P(o | g)`: genotyping error turns the reference call r into a true
    genotype g, the masking channel learnt on the panel turns g into the released value o. Under fill
    'major' a released 0 is a true 0 or a masked genotype; under fill 'missing' the mask pattern itself is
    evidence. Both are in P(o | g).
    """

    def __init__(self, case: Case) -> None:
        knowledge = case.knowledge
        sites = knowledge.panel.shape[1]
        table = np.log(np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel))
        self._case = case
        self._table = exact_terms(table, sites)  # [S, reference call, released value]
        # Most records show the same value at most sites: score that baseline once, then only the deviations.
        shown = case.patterns[0] + 1
        counts = np.stack([(shown == o).sum(axis=0) for o in range(4)])
        self._base = counts.argmax(axis=0)  # [S]
        self._deviations = [
            (o, columns, (shown[:, columns] == o).astype(self._table.dtype))
            for o in range(4)
            if len(columns := np.flatnonzero((counts[o] > 0) & (self._base != o)))
        ]

    def block(self, part: slice) -> NDArray[Any]:
        """Scores [patterns, candidates of `part`], exact."""
        calls = self._case.references[part].T.astype(np.int64) + 1  # [S, candidates]
        sites = np.arange(len(calls))[:, None]
        scores = self._table[sites, calls, self._base[:, None]].sum(axis=0, dtype=self._table.dtype)[None, :]
        for o, columns, shown in self._deviations:
            rows = columns[:, None]
            own = calls[columns]
            change = self._table[rows, own, o] - self._table[rows, own, self._base[rows]]
            scores = scores + shown @ change
        return np.broadcast_to(scores, (len(self._case.patterns[0]), calls.shape[1]))


class LikelihoodLinkage(Linkage):
    """Link each record to the candidate under whom it is most probable."""

    name = "likelihood"
    guess = "the candidate under whom the record is most probable"

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        return standing(case, RecordLikelihood(case).block)
