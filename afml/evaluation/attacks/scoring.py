"""The best candidate of each record, ties split, in bounded memory and in exact arithmetic.

Ties decide the re-identification rate, and a matrix product in floating point breaks them at random: equal
candidates may differ in the last bit. Scores are therefore rounded, term by term, to a grid on which every
partial sum is exact, whatever the order of summation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Float64

BLOCK_VALUES = 1 << 22
"""Values of one working array (32 MiB in float64)."""


@dataclass(frozen=True, eq=False)
class Standing:
    """How each record's own candidate stands among all candidates of one case.

    Attributes:
        best: float64[n], the highest score of any candidate.
        ties: int64[n], candidates that reach it.
        own: float64[n], the score of the right candidate; -inf where that person is not among them.
    """

    best: Float64
    ties: NDArray[np.int64]
    own: Float64

    def success(self) -> Float64:
        """float64[n]: 1 / (number of best candidates) where the right one is among them, else 0."""
        return np.asarray((self.own == self.best) / self.ties)

    def joined(self, other: Standing) -> Standing:
        """The same records with the candidates of both cases; scores of one attack are comparable."""
        level = self.best == other.best
        return Standing(
            np.maximum(self.best, other.best),
            np.where(level, self.ties + other.ties, np.where(self.best > other.best, self.ties, other.ties)),
            np.maximum(self.own, other.own),
        )


class Linkage(ABC):
    """An attack that scores every candidate for every record; an `Attack` whose candidates can be split up.

    A subclass is an `AttackKind`.
    """

    name: str
    guess: str
    baseline: bool = True

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """The attack as a report runs it; what is not trained draws nothing."""
        return cls()

    @abstractmethod
    def standing(self, case: Case) -> Standing:
        """How the right candidates stand in this case."""

    def success(self, case: Case) -> Float64:
        """float64[n]: probability that the best guess is right, per record; ties are split evenly."""
        return self.standing(case).success()


def exact_terms(terms: Float64, count: int) -> NDArray[Any]:
    """Round `terms` to a power-of-two grid such that every sum of at most `count` of them is exact.

    float32 where the grid is 1/256 or finer, float64 otherwise.
    """
    largest = max(float(np.abs(terms).max(initial=0.0)), 1e-30)
    for dtype, bits in ((np.float32, 23), (np.float64, 31)):
        step = 2.0 ** np.ceil(np.log2(largest * count) - bits)
        if step <= 2.0**-8 or dtype is np.float64:
            break
    return np.asarray(np.round(terms / step) * step, dtype=dtype)


def exact_directions(vectors: Float64) -> Float64:
    """Unit rows on a grid of 2^-24: dot products are exact in float64. Zero rows stay zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-9)
    return np.asarray(np.round(unit * 2.0**24) * 2.0**-24)


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices over `count` rows such that rows * width stays within `BLOCK_VALUES`."""
    step = max(1, BLOCK_VALUES // max(1, width))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def standing(case: Case, score: Callable[[slice], NDArray[Any]]) -> Standing:
    """Score all candidates, a block at a time.

    Args:
        case: Records, grouped by `case.patterns`, and candidates.
        score: Maps a slice of candidates to scores [patterns, candidates of the slice] in exact arithmetic.
    """
    patterns, pattern_of = case.patterns
    best = np.full(len(patterns), -np.inf)
    ties = np.zeros(len(patterns), dtype=np.int64)
    own = np.full(len(pattern_of), -np.inf)
    for part in blocks(len(case.references), max(len(patterns), patterns.shape[1])):
        values = score(part)
        high = values.max(axis=1).astype(np.float64)
        equal = (values == values.max(axis=1, keepdims=True)).sum(axis=1)
        ties = np.where(high > best, equal, np.where(high == best, ties + equal, ties))
        best = np.maximum(best, high)
        inside = (case.truth >= part.start) & (case.truth < part.stop)
        own[inside] = values[pattern_of[inside], case.truth[inside] - part.start]
    return Standing(best[pattern_of], ties[pattern_of], own)
