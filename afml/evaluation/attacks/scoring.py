"""The best candidate of each record, ties split, in bounded memory and in exact arithmetic.

Ties decide the re-identification rate, and a matrix product in floating point breaks them at random: equal
candidates may differ in the last bit. Scores are therefore rounded, term by term, to a grid on which every
partial sum is exact, whatever the order of summation.

Records are scored by their distinct patterns, candidates by blocks, on every processor: a release of a few thousand
patterns costs patterns x candidates, however many people show them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from afml.core.children import in_child, in_children, usable_processors
from afml.evaluation.attacks.base import Case, Float64

T = TypeVar("T")
BLOCK_VALUES = 1 << 22
"""Values of one working array (32 MiB in float64)."""
IN_CHILDREN_FROM = 1 << 28
"""Pattern-candidate pairs, or genotypes read, from which on the work is shared between processes."""

SIDE_BY_SIDE_FROM = 1 << 23
"""Genotypes, over all phenotypes, from which on phenotypes are predicted in a process each."""


@dataclass(frozen=True, eq=False)
class Standing:
    """How each record's own candidate stands among all candidates of one case.

    Attributes:
        best: float64[n], the highest score of any candidate.
        ties: int64[n], candidates that reach it.
        own: float64[n], the score of the right candidate; -inf where that person is not among them.
        home: The same among the candidates of the record's own file alone; None where files are not known.
    """

    best: Float64
    ties: NDArray[np.int64]
    own: Float64
    home: Standing | None = None

    def success(self) -> Float64:
        """float64[n]: 1 / (number of best candidates) where the right one is among them, else 0."""
        return np.asarray((self.own == self.best) / self.ties)

    def joined(self, other: Standing) -> Standing:
        """The same records with the candidates of both cases; scores of one attack are comparable."""
        best, ties = joined(self.best, self.ties, other.best, other.ties)
        return Standing(best, ties, np.maximum(self.own, other.own))


def joined(
    best: Float64, ties: NDArray[np.int64], other: Float64, others: NDArray[np.int64]
) -> tuple[Float64, NDArray[np.int64]]:
    """The best scores of two sets of candidates, and how many reach them."""
    level = np.where(other > best, others, np.where(other == best, ties + others, ties))
    return np.maximum(best, other), level


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


def blocks(count: int, width: int, start: int = 0) -> Iterator[slice]:
    """Slices over `count` rows from `start` on such that rows * width stays within `BLOCK_VALUES`."""
    step = max(1, BLOCK_VALUES // max(1, width))
    for first in range(start, start + count, step):
        yield slice(first, min(first + step, start + count))


def candidate_blocks(case: Case) -> list[tuple[int, slice]]:
    """(file, slice of candidates): no block holds the people of two files."""
    patterns, _ = case.patterns
    width = max(len(patterns), patterns.shape[1])
    return [(file, part) for file, run in case.runs for part in blocks(run.stop - run.start, width, run.start)]


def shared(work: Callable[[list[tuple[int, slice]]], T], case: Case) -> list[T]:
    """Do the blocks of a case's candidates: here where there is little to do, else in a child for every processor."""
    parts = candidate_blocks(case)
    size = len(case.references) * max(len(case.patterns[0]), case.references.shape[1])
    workers = 1 if in_child() or size < IN_CHILDREN_FROM else min(usable_processors(), len(parts))
    if workers == 1:
        return [work(parts)]
    cuts = [len(parts) * k // workers for k in range(workers + 1)]
    return alone([partial(work, parts[a:b]) for a, b in pairwise(cuts)], workers)


def alone(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """Each piece of work in a child whose numerical libraries use one thread; results in order."""

    def single(one: Callable[[], T]) -> T:
        with threadpool_limits(1):
            return one()

    return in_children([partial(single, one) for one in work], at_once)


def standing(case: Case, score: Callable[[slice], NDArray[Any]]) -> Standing:
    """Score all candidates, a block at a time.

    Args:
        case: Records, grouped by `case.patterns`, and candidates.
        score: Maps a slice of candidates to scores [patterns, candidates of the slice] in exact arithmetic.
    """
    case.by_candidate  # noqa: B018 (made here, once, for all children)
    return put_together(case, shared(partial(_scored, case, score), case))


@dataclass(frozen=True, eq=False)
class Best:
    """What some of the candidates reach.

    Attributes:
        best, ties: [files, patterns], the highest score of a file's candidates and how many reach it.
        records: int64[r], records whose right candidate is among them.
        own: float64[r], their scores.
    """

    best: Float64
    ties: NDArray[np.int64]
    records: NDArray[np.int64]
    own: Float64


def _scored(case: Case, score: Callable[[slice], NDArray[Any]], parts: list[tuple[int, slice]]) -> Best:
    patterns, pattern_of = case.patterns
    best = np.full((case.files, len(patterns)), -np.inf)
    ties = np.zeros(best.shape, dtype=np.int64)
    records, own = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for file, part in parts:
        values = score(part)
        high = values.max(axis=1)
        equal = np.count_nonzero(values == high[:, None], axis=1)
        best[file], ties[file] = joined(best[file], ties[file], high.astype(np.float64), equal)
        inside = case.records_of(part)
        records.append(inside)
        own.append(values[pattern_of[inside], case.truth[inside] - part.start].astype(np.float64))
    return Best(best, ties, np.concatenate(records), np.concatenate(own))


def put_together(case: Case, parts: Sequence[Best]) -> Standing:
    """How records stand among all candidates, from what each part of the candidates reaches."""
    _, pattern_of = case.patterns
    best, ties = parts[0].best, parts[0].ties
    own = np.full(len(pattern_of), -np.inf)
    for one in parts[1:]:
        best, ties = joined(best, ties, one.best, one.ties)
    for one in parts:
        own[one.records] = one.own
    home = None
    if case.file is not None:
        file = np.where(case.truth < 0, 0, case.file[case.truth])
        home = Standing(best[file, pattern_of], ties[file, pattern_of], own)
    highest, reaching = best[0], ties[0]
    for file_best, file_ties in zip(best[1:], ties[1:], strict=True):
        highest, reaching = joined(highest, reaching, file_best, file_ties)
    return Standing(highest[pattern_of], reaching[pattern_of], own, home)
