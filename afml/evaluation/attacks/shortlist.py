"""The candidates that are worth a closer look: the best of each file for every pattern, by what is cheap to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Float64
from afml.evaluation.attacks.scoring import Best, Standing, put_together, shared

Known = Callable[[slice], Float64]
"""A slice of candidates -> scores [patterns, candidates of the slice], equal for equal candidates."""


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Pairs of pattern and candidate; all others are out.

    Attributes:
        pattern: int64[q], row of the pattern.
        candidate: int64[q], row of the candidate.
        score: float64[q], what is known of the pair; may be corrected in place.
    """

    pattern: NDArray[np.int64]
    candidate: NDArray[np.int64]
    score: Float64

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand; one that is not on the list has lost."""
        patterns, pattern_of = case.patterns
        file = np.zeros_like(self.candidate) if case.file is None else case.file[self.candidate]
        shape = (case.files, len(patterns))
        best, ties = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64)
        np.maximum.at(best, (file, self.pattern), self.score)
        np.add.at(ties, (file, self.pattern), self.score == best[file, self.pattern])
        pair = self.pattern * len(case.references) + self.candidate
        order = np.argsort(pair)
        asked = pattern_of * len(case.references) + case.truth
        place = order[np.minimum(np.searchsorted(pair, asked, sorter=order), len(pair) - 1)]
        listed = (pair[place] == asked) & (case.truth >= 0)
        own = np.where(listed, self.score[place], -np.inf)
        return put_together(case, [Best(best, ties, np.arange(len(own)), own)])


def shortlist(case: Case, known: Known, read: int) -> Shortlist:
    """For every pattern the `read` best candidates of each file, and whoever is level with the last of them."""
    biggest = max(run.stop - run.start for _, run in case.runs)
    everybody = np.full((case.files, len(case.patterns[0])), -np.inf)
    bar = everybody if read >= biggest else _bar(case, known, read)
    found = shared(partial(_above, known, bar), case)
    pattern, candidate, score = (np.concatenate(column) for column in zip(*found, strict=True))
    return Shortlist(pattern, candidate, score)


def _bar(case: Case, known: Known, read: int) -> Float64:
    """float64[files, patterns]: the score of the last that is read."""
    tops = shared(partial(_tops, case, known, read), case)
    bar = np.empty((case.files, len(case.patterns[0])))
    for file in range(case.files):
        values = np.concatenate([top[file] for top in tops if file in top], axis=1)
        bar[file] = _highest(values, read).min(axis=1)
    return bar


def _tops(case: Case, known: Known, read: int, parts: list[tuple[int, slice]]) -> dict[int, Float64]:
    """File -> float64[patterns, at most `read`], the highest scores among some of the candidates."""
    tops: dict[int, Float64] = {}
    for file, part in parts:
        values = known(part)
        if file in tops:
            values = np.concatenate([tops[file], values], axis=1)
        tops[file] = _highest(values, read)
    return tops


def _highest(values: Float64, read: int) -> Float64:
    if values.shape[1] <= read:
        return values
    return np.partition(values, values.shape[1] - read, axis=1)[:, -read:]


def _above(
    known: Known, bar: Float64, parts: list[tuple[int, slice]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """(pattern, candidate, score) of the pairs that reach the bar."""
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], Float64]] = []
    for file, part in parts:
        values = known(part)
        pattern, column = np.nonzero(values >= bar[file][:, None])
        found.append((pattern, column + part.start, values[pattern, column]))
    pattern, candidate, score = (np.concatenate(column) for column in zip(*found, strict=True))
    return pattern, candidate, score
