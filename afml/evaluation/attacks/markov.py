"""Hidden Markov linkage: few sites, noisy calls, and records that are only in stretches a person's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge
from afml.evaluation.attacks.scoring import Linkage, Standing, standing

_GRID = 2.0**-20
_LARGEST = 12.0  # of |log ratio| at one site: 48 sites then stay within float64


@dataclass(frozen=True, eq=False)
class Telling:
    """The sites at which one released record says something about who it is of.

    Attributes:
        columns: int64[k], in genome order.
        ratio: float64[k, 4], P(shown value | reference call r) / P(shown value), r in (no call, 0, 1, 2).
    """

    columns: NDArray[np.int64]
    ratio: Float64


def evidence_ratios(knowledge: Knowledge) -> Float64:
    """float64[S, 4, 4]: P(released value o | reference call r) / P(o), on a grid on which what says nothing is 1."""
    given = np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel)
    alone = np.einsum("sg,sgo->so", knowledge.frequencies, knowledge.channel)
    logs = np.clip(np.log(given / alone[:, None, :]), -_LARGEST, _LARGEST)
    return np.asarray(np.exp(np.round(logs / _GRID) * _GRID))


class HiddenMarkovLinkage(Linkage):
    """Is the record, stretch by stretch, a copy of the candidate?

    Sparse, noisy genotypes aligned to known genomes by a hidden Markov model (PLIGHT: Emani et al., Genome Research
    2023; copying as in Li and Stephens 2003). Along the most telling sites of a record a hidden state says whether
    its genotype is the candidate's (seen with genotyping errors and through the mask) or anybody's. A candidate's
    score is the likelihood over all paths, so that a wrong call or a stretch of somebody else costs little: where
    likelihood linkage loses a person to one bad stretch, this finds them. Only products and sums that are the same
    for all candidates are taken, so equal candidates tie exactly.

    Args:
        sites: Most sites used of a record: those of the largest variance of evidence over candidates.
        share: They stop before, where they hold this share of that variance.
        lose: Probability that a copied stretch ends before the next of these sites.
        find: Probability that one begins there.
    """

    name = "hidden Markov"
    guess = "the candidate whom the most telling sites of the record copy, in stretches"
    baseline = False

    def __init__(self, sites: int = 48, share: float = 0.99, lose: float = 0.05, find: float = 0.05) -> None:
        self.sites, self.share, self.lose, self.find = sites, share, lose, find

    def telling(self, patterns: Int8, knowledge: Knowledge) -> list[Telling]:
        """The sites used of each distinct record, int8[u, S]."""
        ratios = evidence_ratios(knowledge)
        called = knowledge.frequencies * (1 - knowledge.reference_missing)
        likely = np.concatenate([np.full((len(called), 1), knowledge.reference_missing), called], axis=1)  # [S, call]
        logs = np.log(ratios)
        mean = np.einsum("sr,sro->so", likely, logs)
        spread = np.einsum("sr,sro->so", likely, (logs - mean[:, None, :]) ** 2)  # [S, shown value]
        site = np.arange(patterns.shape[1])
        found = []
        for record in patterns.astype(np.int64) + 1:
            said = spread[site, record]
            order = np.argsort(-said, kind="stable")[: self.sites]
            order = order[said[order] > 0]
            enough = int(np.searchsorted(said[order].cumsum(), self.share * said.sum())) + 1
            columns = np.sort(order[:enough])
            found.append(Telling(columns, ratios[columns, :, record[columns]]))
        return found

    def likelihood(self, telling: Telling, calls: Int8) -> Float64:
        """P(shown values | candidate) / P(shown values), over all paths.

        Args:
            telling: The record's sites.
            calls: int8[S, candidates], reference calls; -1 = none.

        Returns:
            float64[candidates].
        """
        copied = np.full(calls.shape[1], 0.5)
        anybodys = np.full(calls.shape[1], 0.5)
        for number, (column, ratio) in enumerate(zip(telling.columns, telling.ratio, strict=True)):
            ends, begins = (self.lose, self.find) if number else (0.0, 0.0)
            stays = copied * (1 - ends) + anybodys * begins
            anybodys = copied * ends + anybodys * (1 - begins)
            copied = stays * ratio[calls[column] + 1]
        return np.asarray(copied + anybodys)

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        patterns, _ = case.patterns
        telling = self.telling(patterns, case.knowledge)

        def score(part: slice) -> NDArray[Any]:
            calls = np.ascontiguousarray(case.references[part].T)  # [S, candidates]
            return np.stack([self.likelihood(one, calls) for one in telling])

        return standing(case, score)
