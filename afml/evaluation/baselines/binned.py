"""The risk score itself, in bins: not a VCF, but the information limit that masks should approach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afml.evaluation.attacks import Attack
from afml.evaluation.attacks.base import Float64, Int8, row_blocks
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level
from afml.evaluation.limits import chosen
from afml.evaluation.utility import score_auc

BINNED = "binned risk score"
#: The same where a run keeps components and learns no risk.
BINNED_COMPONENT = "binned first component"
#: What comparing a candidate with a cell costs, in pairs of record and candidate.
CELL_COST = 8
BINS = (2, 3, 4, 6, 8, 10, 16, 24)


def risk_score(dosage: Int8, panel: Int8, weights: Float64) -> Float64:
    """float64[n]: dosage @ weights, missing calls at the panel mean."""
    mean = np.asarray(np.ma.masked_less(panel, 0).mean(axis=0).filled(0.0))
    score = np.empty(len(dosage))
    for part in row_blocks(dosage):
        score[part] = np.where(dosage[part] < 0, mean, dosage[part]) @ weights
    return score


def binned_score(comparands: Comparands, weights: Float64) -> Family:
    """The risk score in panel-quantile bins: not a VCF, but the information limit that masks should approach.

    Of a run without traits it is the score of the first component.

    With several phenotypes the score of each has its own bins, all of them are shown, and each phenotype is
    predicted from its own.

    Attack: the same scores of each candidate's reference profile; the candidates in the nearest cell (fewest bins
    away, summed over the scores), ties split.
    """
    scores = [
        [
            risk_score(people, comparands.panel, own)
            for people in (comparands.panel, comparands.dosage, comparands.references)
        ]
        for own in np.atleast_2d(weights)
    ]

    most = comparands.most.pairs // (len(comparands.references) * CELL_COST)
    attacked = chosen(len(comparands.dosage), max(1, most), comparands.seed, 0xB1)
    truth = np.arange(len(comparands.references))[comparands.rows][attacked]

    def level(bins: int) -> Level:
        edges = [np.unique(np.quantile(panel, np.arange(1, bins) / bins)) for panel, _, _ in scores]
        shown = [np.searchsorted(cuts, raw) for cuts, (_, raw, _) in zip(edges, scores, strict=True)]
        expected = np.array(
            [np.searchsorted(cuts, reference) for cuts, (_, _, reference) in zip(edges, scores, strict=True)]
        )  # [D, candidates]

        def rr(_: Sequence[Attack]) -> float:
            cells = np.array(shown)[:, attacked]  # [D, records]
            kinds, cell_of = np.unique(cells, axis=1, return_inverse=True)
            success = np.zeros(cells.shape[1])
            for index, cell in enumerate(kinds.T):
                apart = np.abs(expected - cell[:, None]).sum(axis=0)  # [candidates]
                nearest, records = apart == apart.min(), cell_of.reshape(-1) == index
                success[records] = nearest[truth[records]] / nearest.sum()
            return float(success.mean())

        aucs = [
            score_auc(own.astype(np.float64), one) for own, (one, _) in zip(shown, comparands.declared, strict=True)
        ]
        return Level(f"{bins} bins", comparands.worth(np.array(aucs)), rr)

    return Family(BINNED_COMPONENT if comparands.outcome.reconstructs else BINNED, tuple(level(bins) for bins in BINS))
