"""A codebook of release patterns, learned on the panel.

A pattern is a set of genotypes that a released record shows; everything else is masked. The empty pattern
shows nothing. A person may take only a pattern that the person's own genome contains, so every shown
genotype is true, and takes the one whose *centroid* (mean risk score of the public people who take it) is
nearest to the person's own risk score: a quantiser of the score (Lloyd 1982) whose codewords are genotypes.
With about ten patterns the groups are large by construction and nothing rare is ever shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json

Pattern = tuple[tuple[int, int], ...]
"""Shown genotypes as (site, dosage in {1, 2}), ascending by site; empty: nothing is shown."""

LLOYD_STEPS = 4
#: Strongest risk sites and most common sites that single-genotype patterns are drawn from.
CANDIDATE_SITES = 40


@dataclass(frozen=True)
class Codebook:
    """Patterns and their centroids.

    Attributes:
        sites: Number of sites of a record.
        patterns: J patterns; pattern 0 is the empty one.
        centroids: Risk scores the patterns stand for, [J, scores].
    """

    sites: int
    patterns: tuple[Pattern, ...]
    centroids: NDArray[np.float64]

    def available(self, dosage: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Which patterns each record contains, [people, J]; a missing call is never contained."""
        out = np.ones((len(dosage), len(self.patterns)), dtype=bool)
        for index, pattern in enumerate(self.patterns):
            for site, value in pattern:
                out[:, index] &= dosage[:, site] == value
        return out

    def assign(
        self, dosage: NDArray[np.int8], score: NDArray[np.float64], active: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """The available pattern with the nearest centroid, per person; ties go to the earlier pattern.

        Args:
            dosage: Records, [people, sites].
            score: Risk scores, [people] or [people, scores].
            active: Patterns in use, [J]; the empty pattern must be among them.
        """
        distance = _distance(score, self.centroids)  # [people, J]
        distance[~self.available(dosage)] = np.inf
        if active is not None:
            distance[:, ~active] = np.inf
        return np.argmin(distance, axis=1)

    def show(self, assigned: NDArray[np.int64], masked: int) -> NDArray[np.int8]:
        """Released records of assigned patterns, `masked` wherever nothing is shown, [people, sites]."""
        rows = np.full((len(self.patterns), self.sites), masked, np.int8)
        for index, pattern in enumerate(self.patterns):
            for site, value in pattern:
                rows[index, site] = value
        return rows[assigned]

    def digest(self) -> str:
        """SHA-256, hex."""
        body = {"sites": self.sites, "patterns": [[list(g) for g in p] for p in self.patterns]}
        return hashlib.sha256(canonical_json(body) + self.centroids.astype("<f8").tobytes()).hexdigest()


def learn_single(
    dosage: NDArray[np.int8],
    score: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    patterns: int,
    min_share: float = 0.0,
) -> Codebook:
    """Greedy codebook of single genotypes: the empty pattern and `patterns - 1` others.

    Args:
        dosage: Public people (panel and mosaics), [people, sites].
        score: Their risk scores, [people].
        weights: Risk weights, [sites]; the strongest sites are candidates, and the most common ones.
        patterns: J, at least 1.
        min_share: Smallest share of the public people that a pattern must attract.

    Returns:
        A deterministic codebook.
    """
    called = np.maximum((dosage >= 0).sum(axis=0), 1)
    frequency = np.maximum(dosage, 0).sum(axis=0) / called
    strongest = np.argsort(-np.abs(weights), kind="stable")[:CANDIDATE_SITES]
    strongest = strongest[weights[strongest] != 0.0]
    common = np.argsort(-np.minimum(frequency, 2 - frequency), kind="stable")[:CANDIDATE_SITES]
    pool: list[Pattern] = [
        ((int(site), value),) for site in dict.fromkeys([*strongest, *common]) for value in (1, 2)
    ]
    return learn(dosage, score, pool, patterns=patterns, min_share=min_share)


def learn(
    dosage: NDArray[np.int8],
    score: NDArray[np.float64],
    pool: list[Pattern],
    *,
    patterns: int,
    min_share: float = 0.0,
) -> Codebook:
    """Choose patterns from `pool` one by one: each time the one that lowers the score's squared error most.

    Args:
        dosage: Public people, [people, sites].
        score: Their risk scores, [people].
        pool: Candidate patterns, the empty one not among them.
        patterns: J, the empty pattern included.
        min_share: Candidates that would attract less of the public people are passed over.
    """
    points = np.asarray(score, dtype=np.float64).reshape(len(dosage), -1)  # [people, scores]
    has = Codebook(dosage.shape[1], tuple(pool), np.zeros((len(pool), points.shape[1]))).available(dosage)
    chosen: list[int] = []
    centroids = points.mean(axis=0, keepdims=True)
    for _ in range(patterns - 1):
        best = _best_candidate(points, has, chosen, centroids, min_share)
        if best is None:
            break
        candidate, centroid = best
        chosen.append(candidate)
        centroids = np.concatenate([centroids, centroid[None]])
        centroids = _lloyd(points, has[:, chosen], centroids)
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
    distance = _masked_distance(points, has[:, chosen], centroids)
    now = distance.min(axis=1)  # [people]
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


def _lloyd(
    points: NDArray[np.float64], has: NDArray[np.bool_], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Alternate assignment and means; `has`: [people, J - 1], the empty pattern is open to all."""
    for _ in range(LLOYD_STEPS):
        assigned = _masked_distance(points, has, centroids).argmin(axis=1)
        for index in range(len(centroids)):
            members = points[assigned == index]
            if len(members):
                centroids[index] = members.mean(axis=0)
    return centroids


def _masked_distance(
    points: NDArray[np.float64], has: NDArray[np.bool_], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    distance = _distance(points, centroids)
    distance[:, 1:][~has] = np.inf
    return distance


def _distance(score: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.asarray(score, dtype=np.float64).reshape(len(score), -1)
    return ((points[:, None, :] - centroids[None]) ** 2).sum(axis=2)
