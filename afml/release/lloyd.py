"""Lloyd's iteration (1982) among people who may not take every pattern: the arithmetic that all methods share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices


def squared_distance(score: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances, [people, J], of scores [people] or [people, scores] to centroids [J, scores]."""
    points = np.asarray(score, dtype=np.float64).reshape(len(score), -1)
    return ((points[:, None, :] - centroids[None]) ** 2).sum(axis=2)


def open_patterns(has: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`Choices.contained` of people who contain the patterns after the first, [people, J - 1], and all the first."""
    return np.packbits(np.concatenate([np.ones((len(has), 1), np.bool_), has], axis=1), axis=1)


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
    open_to = open_patterns(has)
    for _ in range(steps):
        assigned, _ = Choices(points, open_to, centroids).nearest()
        for index in range(0 if empty_moves else 1, len(centroids)):
            members = points[assigned == index]
            if len(members):
                centroids[index] = members.mean(axis=0)
    return centroids
