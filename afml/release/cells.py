"""Release method "cells": a quantiser of all scores at once, whose every cell is shown as a genotype that fits it.

For thousands of patterns nobody need look for genotypes that tell a score. The *scores* are quantised first (Lloyd
1982), as well as a code of so many words can; then every cell is given a pattern of its own, one genotype or two, such
that most people altogether carry that of their cell (an assignment problem, Kuhn 1955). Whoever does not takes the
nearest cell whose pattern the own record contains, and centroids move to those who came. A site may stand in several
patterns: what a pattern says is in the table beside the release (`afml.release.table`), not in its dosages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices
from afml.release.method import MOSAICS, ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook, Pattern, contains

#: Steps of Lloyd's iteration before cells have patterns, and after.
FREE_STEPS, BOUND_STEPS = 16, 6
#: Of the free steps, those at the end in which no cell begins again.
_SETTLING = 4
#: Patterns to choose from, per cell.
CANDIDATES = 3
#: A cell is planned for so many times the people that it must have: files differ from public people.
_SPARE = 1.25
#: Mosaics for each cell.
_MOSAICS = 24
_GENOTYPES_AT_ONCE = 1 << 26


class CellCodebook(ReleaseMethod):
    """Cells of the scores, each with a pattern of its own."""

    name = "cells"
    title = "cells of the scores"
    compared = True
    fills = ("missing",)  # a genotype of two major alleles is nothing to see under "major"
    many = True
    tabled = True

    def mosaics(self, patterns: int) -> int:
        """Enough for every cell to have a mean."""
        return max(MOSAICS, _MOSAICS * patterns)

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """A codebook of cells."""
        return learn_cells(people, model.risk_score(people), patterns=patterns, min_share=share)


def learn_cells(
    dosage: NDArray[np.int8], score: NDArray[np.float64], *, patterns: int, min_share: float = 0.0
) -> Codebook:
    """Quantise the scores, and give every cell a pattern.

    Args:
        dosage: Public people, [people, sites].
        score: Their scores, [people] or [people, scores]; each is measured in its standard deviation among them.
        patterns: J at most, the empty pattern included.
        min_share: Smallest share of the people that a cell must attract.

    Returns:
        A deterministic codebook.
    """
    given = np.asarray(score, dtype=np.float64).reshape(len(dosage), -1)
    # Rounded, so that machines whose sums differ in the last bits find the same book.
    scale = given.std(axis=0).astype(np.float32).astype(np.float64)
    scale[scale == 0] = 1.0
    points = np.round(given / scale, 9)  # [people, scores]
    least = max(1.0, _SPARE * min_share * len(points))
    centroids = quantise(points, max(1, min(patterns, int(len(points) / least))), least)
    shown, centroids = bound(dosage, points, centroids, common_patterns(dosage, CANDIDATES * len(centroids)))
    return Codebook(dosage.shape[1], shown, centroids * scale, scale)


def quantise(points: NDArray[np.float64], cells: int, least: float) -> NDArray[np.float64]:
    """Lloyd's iteration; cells that stay too small begin again inside the largest ones.

    Args:
        points: [people, scores].
        cells: Their number.
        least: People of a cell, at least.

    Returns:
        Centroids, [cells, scores]; the first is the mean of all, and does not move.
    """
    starts = np.linspace(0, len(points) - 1, cells - 1).astype(np.int64)
    centroids = np.concatenate([points.mean(axis=0, keepdims=True), points[starts]])
    for step in range(FREE_STEPS):
        taken = everything(points, centroids).nearest()[0]
        centroids = moved(centroids, points, taken)
        sizes = np.bincount(taken, minlength=cells)
        small = np.flatnonzero(sizes[1:] < least) + 1
        if step < FREE_STEPS - _SETTLING and len(small):
            large = np.argsort(-sizes, kind="stable")[: len(small)]
            one_of = np.argsort(taken, kind="stable")[np.cumsum(sizes)[large] - 1]
            # Half the way from the middle of a large cell to one of its people: the next steps share it out.
            centroids[small] = (centroids[large] + points[one_of]) / 2
    return centroids


def moved(centroids: NDArray[np.float64], points: NDArray[np.float64], taken: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means of those who take each cell; the first one, and one that nobody takes, stays. [cells, scores]"""
    cells = len(centroids)
    sizes = np.bincount(taken, minlength=cells)
    sums = np.stack([np.bincount(taken, weights=column, minlength=cells) for column in points.T], axis=1)
    used = np.flatnonzero(sizes[1:]) + 1
    out = centroids.copy()
    out[used] = sums[used] / sizes[used, None]
    return out


def everything(points: NDArray[np.float64], centroids: NDArray[np.float64]) -> Choices:
    """Choices of people who may take any cell."""
    return Choices(points, None, centroids)


def common_patterns(dosage: NDArray[np.int8], wanted: int, values: Sequence[int] = (0, 1, 2)) -> list[Pattern]:
    """Genotypes, and pairs of them, in the order of how many people carry them; of a pair as if sites were independent.

    Args:
        dosage: Public people, [people, sites].
        wanted: Patterns, at most.
        values: Genotypes that may be shown.
    """
    shares = np.stack([np.count_nonzero(dosage == value, axis=0) for value in values], axis=1) / len(dosage)
    order = np.argsort(-shares, axis=None, kind="stable")
    order = order[shares.flat[order] > 0]
    singles = [((int(at) // len(values), values[int(at) % len(values)]), float(shares.flat[at])) for at in order]
    few = singles[: int(np.sqrt(2 * wanted)) + 2]  # their pairs are more than are wanted
    found: list[tuple[float, Pattern]] = [(share, (one,)) for one, share in singles]
    for index, (one, share) in enumerate(few):
        pairs = (((one, other), share * its) for other, its in few[index + 1 :] if other[0] != one[0])
        found += [(both, (min(pair), max(pair))) for pair, both in pairs]
    return [pattern for _, pattern in sorted(found, key=lambda each: (-each[0], each[1]))[:wanted]]


def bound(
    dosage: NDArray[np.int8], points: NDArray[np.float64], centroids: NDArray[np.float64], pool: list[Pattern]
) -> tuple[tuple[Pattern, ...], NDArray[np.float64]]:
    """Give every cell but the first a pattern of the pool, and let centroids follow who can still take them.

    Args:
        dosage: Public people, [people, sites].
        points: [people, scores].
        centroids: [cells, scores].
        pool: Patterns; where they are fewer than cells, the cells that they serve worst are left out.

    Returns:
        (patterns, the empty one first; centroids).
    """
    from scipy.optimize import linear_sum_assignment  # 40 MB of modules, which other methods do without

    taken = everything(points, centroids).nearest()[0]
    cells, chosen = linear_sum_assignment(_carriers(dosage, pool, taken, len(centroids)), maximize=True)
    shown: tuple[Pattern, ...] = ((), *(pool[index] for index in chosen))
    choices = Choices(points, np.packbits(contains(dosage, shown), axis=1), centroids[[0, *(cells + 1)]])
    for _ in range(BOUND_STEPS):
        choices = choices.with_centroids(moved(choices.centroids, points, choices.nearest()[0]))
    return shown, choices.centroids


def _carriers(
    dosage: NDArray[np.int8], pool: list[Pattern], taken: NDArray[np.int64], cells: int
) -> NDArray[np.float32]:
    """How many people of each cell but the first carry each pattern, [cells - 1, patterns]."""
    order = np.argsort(taken, kind="stable")
    sizes = np.bincount(taken, minlength=cells)
    used = np.flatnonzero(sizes)
    begins = (np.cumsum(sizes) - sizes)[used]
    out = np.zeros((cells, len(pool)), np.float32)
    step = max(1, _GENOTYPES_AT_ONCE // len(dosage))
    for start in range(0, len(pool), step):
        held = contains(dosage, pool[start : start + step])[order]
        out[used, start : start + step] = np.add.reduceat(held, begins, axis=0, dtype=np.int32)
    return out[1:]


METHOD = CellCodebook()
