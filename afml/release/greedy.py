"""Release method "greedy": the plain greedy codebook, a baseline for those that the product releases.

Single genotypes of the strongest risk sites and of the most common sites, chosen one by one; every centroid,
the empty pattern's too, follows its members. `afml.release.codebook` is what became of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices
from afml.release.lloyd import lloyd, open_patterns
from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook, Pattern, contains

LLOYD_STEPS = 4
#: Strongest risk sites and most common sites that patterns are drawn from.
CANDIDATE_SITES = 40


class GreedyCodebook(ReleaseMethod):
    """Single genotypes of the strongest and the most common sites; no release is made by it unasked."""

    name = "greedy"
    title = "greedy codebook"
    compared = False

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """A codebook chosen greedily."""
        return learn_greedy(people, model.risk_score(people), model.weights, patterns=patterns, min_share=share)


def learn_greedy(
    dosage: NDArray[np.int8],
    score: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    patterns: int,
    min_share: float = 0.0,
) -> Codebook:
    """Greedy codebook of single genotypes: the empty pattern and `patterns - 1` others, each the best one there is.

    Args:
        dosage: Public people (panel and mosaics), [people, sites].
        score: Their risk scores, [people] or [people, scores].
        weights: Risk weights, [sites] or [scores, sites]; the strongest sites are candidates, and the most common ones.
        patterns: J, at least 1.
        min_share: Smallest share of the public people that a pattern must attract.

    Returns:
        A deterministic codebook.
    """
    called = np.maximum((dosage >= 0).sum(axis=0), 1)
    frequency = np.maximum(dosage, 0).sum(axis=0) / called
    strength = np.abs(np.atleast_2d(weights)).max(axis=0)
    strongest = np.argsort(-strength, kind="stable")[:CANDIDATE_SITES]
    strongest = strongest[strength[strongest] != 0.0]
    common = np.argsort(-np.minimum(frequency, 2 - frequency), kind="stable")[:CANDIDATE_SITES]
    pool: list[Pattern] = [((int(site), value),) for site in dict.fromkeys([*strongest, *common]) for value in (1, 2)]
    points = np.asarray(score, dtype=np.float64).reshape(len(dosage), -1)  # [people, scores]
    has = contains(dosage, pool)
    chosen: list[int] = []
    centroids = points.mean(axis=0, keepdims=True)
    for _ in range(patterns - 1):
        best = _best_candidate(points, has, chosen, centroids, min_share)
        if best is None:
            break
        candidate, centroid = best
        chosen.append(candidate)
        centroids = np.concatenate([centroids, centroid[None]])
        centroids = lloyd(points, has[:, chosen], centroids, steps=LLOYD_STEPS, empty_moves=True)
    selected: tuple[Pattern, ...] = ((), *(pool[index] for index in chosen))
    return Codebook(dosage.shape[1], selected, centroids)


def _best_candidate(
    points: NDArray[np.float64],
    has: NDArray[np.bool_],
    chosen: list[int],
    centroids: NDArray[np.float64],
    min_share: float,
) -> tuple[int, NDArray[np.float64]] | None:
    """The candidate that lowers the error most, and its centroid."""
    _, now = Choices(points, open_patterns(has[:, chosen]), centroids).nearest()
    best: tuple[float, int, NDArray[np.float64]] | None = None
    for candidate in range(has.shape[1]):
        if candidate in chosen or not has[:, candidate].any():
            continue
        carriers = np.flatnonzero(has[:, candidate])
        # Two starts: the carriers worst served from above and from below; then two refinements of each.
        for side in (-1.0, 1.0):
            own = points[carriers]
            direction = side * (own - own.mean(axis=0)).sum(axis=1)
            members = carriers[direction >= np.quantile(direction, 0.5)]
            centroid = points[members].mean(axis=0)
            for _ in range(2):
                gain = now[carriers] - ((own - centroid) ** 2).sum(axis=1)
                moved = gain > 0
                if not moved.any():
                    break
                centroid = own[moved].mean(axis=0)
            gain = np.maximum(now[carriers] - ((own - centroid) ** 2).sum(axis=1), 0.0)
            if np.count_nonzero(gain) < min_share * len(points) or not gain.any():
                continue
            if best is None or gain.sum() > best[0]:
                best = (float(gain.sum()), candidate, centroid)
    return None if best is None else (best[1], best[2])


METHOD = GreedyCodebook()
