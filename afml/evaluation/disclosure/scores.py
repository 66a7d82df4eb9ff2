"""Polygenic scores inverted: which genotypes add up to the numbers that somebody released of a person.

A score is a sum of dosages times published weights, which have a few decimals. In units of the last decimal both are
whole numbers, and the probability of every partial sum can be tabulated: a forward and a backward pass over the sites
of a score give P(genotype | score) of each, exactly, under independent sites with known frequencies. Several scores
are taken in turn, those of the fewest sites first; what one says of its sites is what the next begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64, Int8

MOST_SUMS = 1 << 24
"""Partial sums that are tabulated for one score."""


@dataclass(frozen=True, eq=False)
class Score:
    """A published score.

    Attributes:
        columns: int64[m], its sites.
        weights: int64[m], per copy of the counted allele, in units of the last decimal.
    """

    columns: NDArray[np.int64]
    weights: NDArray[np.int64]

    def of(self, dosage: Int8) -> NDArray[np.int64]:
        """int64[n]: the score of each person, int8[n, S] without missing calls."""
        return np.asarray(dosage[:, self.columns].astype(np.int64) @ self.weights)


def invert(scores: Sequence[Score], values: Sequence[int], frequencies: Float64) -> Float64:
    """P(genotype | scores): float64[S, 3].

    Args:
        scores: Published ones.
        values: One person's, in units of the last decimal.
        frequencies: float64[S, 3], genotype frequencies, where the person is from.

    Raises:
        InputError: No genotypes give a score, or one has more possible sums than can be tabulated.
    """
    belief = np.maximum(frequencies, 1e-9)
    for at in sorted(range(len(scores)), key=lambda index: len(scores[index].columns)):
        columns = scores[at].columns
        belief[columns] = _marginals(scores[at].weights, int(values[at]), belief[columns])
    return belief


def _marginals(weights: NDArray[np.int64], value: int, prior: Float64) -> Float64:
    """P(genotype | sum) of each site of one score: float64[m, 3]."""
    # Of a negative weight the other allele is counted, so that all sums are from 0 on.
    turned = weights < 0
    steps, target = np.abs(weights), value - 2 * int(weights[turned].sum())
    likely = np.where(turned[:, None], prior[:, ::-1], prior)
    if not 0 <= target <= 2 * int(steps.sum()):
        raise InputError("no genotypes give this score", cure="give the weights that the score was made with")
    if target + 1 > MOST_SUMS:
        raise InputError(
            f"a score of {target} sums cannot be tabulated", cure="round weights and score to fewer decimals"
        )
    sums = [np.zeros(target + 1)]
    sums[0][0] = 1.0
    for step, chance in zip(steps, likely, strict=True):
        sums.append(_added(sums[-1], int(step), chance))
    total = sums[-1][target]
    if not total > 0:
        raise InputError("no genotypes give this score", cure="give the weights that the score was made with")
    out = np.empty_like(prior)
    rest = np.zeros(target + 1)  # P(the sites after this one add up to the rest), by what was added before them
    rest[target] = 1.0
    for k in range(len(steps) - 1, -1, -1):
        for g in range(3):
            shift = g * int(steps[k])
            before = sums[k][: target + 1 - shift] if shift <= target else sums[k][:0]
            out[k, g] = likely[k, g] * float(before @ rest[shift:]) if len(before) else 0.0
        rest = _taken(rest, int(steps[k]), likely[k])
    out /= out.sum(axis=1, keepdims=True)
    return np.where(turned[:, None], out[:, ::-1], out)


def _added(sums: Float64, step: int, chance: Float64) -> Float64:
    """Probabilities of all sums after one more site, scaled to at most 1."""
    out = chance[0] * sums
    for g in (1, 2):
        shift = g * step
        if shift < len(sums):
            out[shift:] += chance[g] * sums[: len(sums) - shift]
    return np.asarray(out / out.max()) if out.max() > 0 else out


def _taken(rest: Float64, step: int, chance: Float64) -> Float64:
    """The same backwards: what is left to add before one more site."""
    out = chance[0] * rest
    for g in (1, 2):
        shift = g * step
        if shift < len(rest):
            out[: len(rest) - shift] += chance[g] * rest[shift:]
    return np.asarray(out / out.max()) if out.max() > 0 else out
