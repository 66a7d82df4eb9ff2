"""What the people of a file may choose from: their scores, and which patterns each of them contains, a bit each.

A file of 100,000 people and a codebook of thousands of patterns would need gigabytes of distances. Here they are
looked at some people at a time, or a pattern at a time, and the choice is the one that the whole table would give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: Distances that are in memory at a time.
_AT_ONCE = 1 << 21
#: Rounding error of a distance in its fast form, relative to the lengths that it is made of, and some to spare.
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Choices:
    """People, and the patterns that they may take.

    Attributes:
        points: Scores, [people, scores].
        contained: Which patterns each person contains, packed bits as of `numpy.packbits`, [people, ceil(J / 8)]; None
            where everybody may take every pattern.
        centroids: What the patterns stand for, [J, scores].
    """

    points: NDArray[np.float64]
    contained: NDArray[np.uint8] | None
    centroids: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def with_centroids(self, centroids: NDArray[np.float64]) -> Choices:
        """The same people and patterns, which stand for other scores."""
        return replace(self, centroids=centroids)

    def of(self, people: NDArray[np.int64]) -> Choices:
        """Some of the people, by row."""
        return replace(
            self, points=self.points[people], contained=None if self.contained is None else self.contained[people]
        )

    def to(self, pattern: int) -> NDArray[np.float64]:
        """Squared distance of everybody to one pattern, infinite for those who do not contain it, [people]."""
        distance: NDArray[np.float64] = ((self.points - self.centroids[pattern]) ** 2).sum(axis=1)
        if self.contained is not None:
            distance[(self.contained[:, pattern >> 3] >> np.uint8(7 - (pattern & 7)) & 1) == 0] = np.inf
        return distance

    def nearest(self, closed: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The contained pattern with the nearest centroid, per person; ties go to the earlier pattern.

        Args:
            closed: Patterns that nobody takes, [J].

        Returns:
            (pattern, squared distance), [people] each; the distance is infinite for whoever contains none.
        """
        patterns = len(self.centroids)
        taken, distance = np.zeros(len(self), np.int64), np.full(len(self), np.inf)
        # |p - c|^2 as lengths and a matrix product, in short numbers, tells which come into question; the exact sums,
        # which it is.
        middle = self.centroids.mean(axis=0)
        points, centroids = (self.points - middle).astype(np.float32), (self.centroids - middle).astype(np.float32)
        lengths = (centroids**2).sum(axis=1)  # [J]
        for part in _parts(len(self), patterns):
            rough = points[part] @ (-2 * centroids.T)
            rough += lengths
            if self.contained is not None:
                lacking = np.unpackbits(~self.contained[part], axis=1, count=patterns).view(np.bool_)
                np.copyto(rough, np.inf, where=lacking)
            if closed is not None:
                rough[:, closed] = np.inf
            near = rough.min(axis=1) + _ROUNDING * ((points[part] ** 2).sum(axis=1) + lengths.max())
            near = np.where(np.isfinite(near), near, -np.inf)[:, None]
            rows, columns = np.divmod(np.flatnonzero(rough <= near), patterns)
            exact = ((self.points[part][rows] - self.centroids[columns]) ** 2).sum(axis=1)
            order = np.lexsort((columns, exact, rows))
            rows, first = np.unique(rows[order], return_index=True)
            taken[part.start + rows] = columns[order][first]
            distance[part.start + rows] = exact[order][first]
        return taken, distance


def joined(parts: list[Choices]) -> Choices:
    """People of one codebook that were looked at some at a time; at least one part."""
    held = [part.contained for part in parts if part.contained is not None]
    points = np.concatenate([part.points for part in parts])
    return replace(parts[0], points=points, contained=np.concatenate(held) if held else None)


def _parts(people: int, patterns: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(1, patterns))
    for start in range(0, people, step):
        yield slice(start, min(start + step, people))
