"""Release method "greedy": the plain greedy codebook, a baseline for those that the product releases.

Single genotypes of the strongest risk sites and of the most common sites, chosen one by one; every centroid,
the empty pattern's too, follows its members. `afml.release.codebook` is what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        A deterministic codebook, which remembers its `steps`.
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
    steps = [centroids]
    candidates = _candidates(points, has, min_share * len(points)) if patterns > 1 else []
    for _ in range(patterns - 1):
        free = [one for one in candidates if one.number not in chosen]
        _, now = Choices(points, open_patterns(has[:, chosen]), centroids).nearest()
        best = _best_candidate(free, now, min_share * len(points))
        if best is None:
            break
        candidate, centroid = best
        chosen.append(candidate)
        centroids = np.concatenate([centroids, centroid[None]])
        centroids = lloyd(points, has[:, chosen], centroids, steps=LLOYD_STEPS, empty_moves=True)
        steps.append(centroids)
    selected: tuple[Pattern, ...] = ((), *(pool[index] for index in chosen))
    return Codebook(dosage.shape[1], selected, centroids, steps=tuple(steps))


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A pattern that may be chosen.

    Attributes:
        number: In the pool.
        carriers: People who contain it.
        points: Their scores, [carriers, scores].
        starts: Centroids to begin with: of the carriers of the lower and of the upper half.
    """

    number: int
    carriers: NDArray[np.int64]
    points: NDArray[np.float64]
    starts: tuple[NDArray[np.float64], ...]


def _candidates(points: NDArray[np.float64], has: NDArray[np.bool_], least: float) -> list[_Candidate]:
    """The patterns of the pool that enough people carry: none of this changes with what is chosen."""
    found = []
    for number, carried in enumerate(has.T):
        carriers = np.flatnonzero(carried)
        if len(carriers) < max(least, 1):
            continue
        own = points[carriers]
        along = (own - own.mean(axis=0)).sum(axis=1)
        halves = [side * along >= np.quantile(side * along, 0.5) for side in (-1.0, 1.0)]
        found.append(_Candidate(number, carriers, own, tuple(points[carriers[half]].mean(axis=0) for half in halves)))
    return found


def _best_candidate(
    candidates: list[_Candidate], now: NDArray[np.float64], least: float
) -> tuple[int, NDArray[np.float64]] | None:
    """The candidate that lowers the error most, and its centroid.

    Args:
        candidates: Those that are not chosen yet.
        now: Squared distances, [people].
        least: People whom a pattern must attract.
    """
    best: tuple[float, int, NDArray[np.float64]] | None = None
    for one in candidates:
        before = now[one.carriers]
        for centroid in one.starts:
            for _ in range(2):  # refinements
                moved = before > ((one.points - centroid) ** 2).sum(axis=1)
                if not moved.any():
                    break
                centroid = one.points[moved].mean(axis=0)
            gain = np.maximum(before - ((one.points - centroid) ** 2).sum(axis=1), 0.0)
            if np.count_nonzero(gain) < least or not gain.any():
                continue
            if best is None or gain.sum() > best[0]:
                best = (float(gain.sum()), one.number, centroid)
    return None if best is None else (best[1], best[2])


METHOD = GreedyCodebook()
