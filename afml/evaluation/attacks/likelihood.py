"""Likelihood linkage: the candidate under whom the released record is most probable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case
from afml.evaluation.attacks.deviations import Deviations, looked_up
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
        patterns, _ = case.patterns
        sites = knowledge.panel.shape[1]
        logs = np.log(np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel))
        table = exact_terms(logs, sites)  # [S, reference call, released value]
        self._case = case
        # Most records show the same value at most sites: score that baseline once, then only the deviations.
        self._unlike = Deviations(patterns)
        site, value = self._unlike.site, self._unlike.value
        base = self._unlike.base + 1
        common = table[np.arange(sites), :, base]  # [S, reference call]
        self._change = (table[site, :, value + 1] - common[site]).astype(table.dtype)  # [deviations, reference call]
        self._usual = float(common[:, 1].sum(dtype=np.float64))  # of a reference that is 0 everywhere
        self._other = [(call - 1, (common[:, call] - common[:, 1]).astype(table.dtype)) for call in (0, 2, 3)]

    def block(self, part: slice) -> NDArray[Any]:
        """Scores [patterns, candidates of `part`], exact."""
        calls = self._case.references[part]
        dtype = self._change.dtype
        scores = np.full(len(calls), self._usual)
        for call, change in self._other:
            scores += (calls == call).astype(dtype) @ change
        return self._unlike.added(scores.astype(dtype), looked_up(self._change, calls, self._unlike.site))


class LikelihoodLinkage(Linkage):
    """Link each record to the candidate under whom it is most probable."""

    name = "likelihood"
    guess = "the candidate under whom the record is most probable"

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        return standing(case, RecordLikelihood(case).block)
