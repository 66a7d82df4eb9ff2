"""Lloyd's iteration (1982) among people who may not take every pattern: the arithmetic that all methods share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def squared_distance(score: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances, [people, J], of scores [people] or [people, scores] to centroids [J, scores]."""
    points = np.asarray(score, dtype=np.float64).reshape(len(score), -1)
    return ((points[:, None, :] - centroids[None]) ** 2).sum(axis=2)


def open_distance(
    points: NDArray[np.float64], has: NDArray[np.bool_], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared distances, infinite where a person lacks the pattern; pattern 0 is open to all, [people, J].

    Args:
        points: Scores, [people, scores].
        has: Who contains which of the other patterns, [people, J - 1].
        centroids: Of all patterns, [J, scores].
    """
    distance = squared_distance(points, centroids)
    distance[:, 1:][~has] = np.inf
    return distance


def lloyd(
    points: NDArray[np.float64],
    has: NDArray[np.bool_],
    centroids: NDArray[np.float64],
    *,
    steps: int,
    empty_moves: bool,
) -> NDArray[np.float64]:
    """Alternate assignment and means; changes `centroids` in place and returns them.

    Args:
        points: Scores, [people, scores].
        has: Who contains which of the other patterns, [people, J - 1].
        centroids: Of all patterns, [J, scores].
        steps: Rounds.
        empty_moves: Whether the empty pattern's centroid follows its members as well.
    """
    for _ in range(steps):
        assigned = open_distance(points, has, centroids).argmin(axis=1)
        for index in range(0 if empty_moves else 1, len(centroids)):
            members = points[assigned == index]
            if len(members):
                centroids[index] = members.mean(axis=0)
    return centroids
