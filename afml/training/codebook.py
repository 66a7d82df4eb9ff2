"""A codebook of release patterns, learned on the panel.

A pattern is a set of genotypes that a released record shows; everything else is masked. The empty pattern
shows nothing. A person may take only a pattern that the person's own genome contains, so every shown
genotype is true, and takes the one whose *centroid* (mean risk score of the public people who take it) is
nearest to the person's own risk score: a quantiser of the score (Lloyd 1982) whose codewords are genotypes.
With about ten patterns the groups are large by construction and nothing rare is ever shown.

Two choices let such a release carry nearly all that a score in as many bins carries:

* Any common genotype may be a codeword, whatever its association. What a codeword says is *who takes it*, and
  with many sites to choose from there is, for every score, one that enough of the people near it contain.
* The empty pattern stands for the mean score, and its centroid never moves. A recipient fits penalised linear
  models on dosages, in which everybody who shows nothing sits at the intercept. Were they people of extreme
  scores, the penalty would pull all other patterns towards them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json

Pattern = tuple[tuple[int, int], ...]
"""Shown genotypes as (site, dosage in {1, 2}), ascending by site; empty: nothing is shown."""

LLOYD_STEPS = 6
#: Carriers, as a share of the public people, that make a genotype worth a codeword, and most candidates.
MIN_CARRIERS, MAX_CANDIDATES = 0.04, 4096
#: Trial centroids of a new pattern: score quantiles, or cluster centres where there are several scores.
_LEVELS, _LEVELS_MANY = 24, 64
_CLUSTER_STEPS = 10


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
        return contains(dosage, self.patterns)

    def distance(self, dosage: NDArray[np.int8], score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squared distance of scores to centroids, infinite where a record lacks the pattern, [people, J]."""
        out = _distance(score, self.centroids)
        out[~self.available(dosage)] = np.inf
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
        distance = self.distance(dosage, score)
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


def contains(dosage: NDArray[np.int8], patterns: tuple[Pattern, ...] | list[Pattern]) -> NDArray[np.bool_]:
    """Which patterns each record contains, [people, patterns]."""
    out = np.ones((len(dosage), len(patterns)), dtype=bool)
    for index, pattern in enumerate(patterns):
        for site, value in pattern:
            out[:, index] &= dosage[:, site] == value
    return out


def common_genotypes(dosage: NDArray[np.int8]) -> list[Pattern]:
    """Single genotypes that enough public people carry, as patterns; the most balanced ones where many do."""
    shares = np.stack([(dosage == value).mean(axis=0) for value in (1, 2)], axis=1)  # [sites, 2]
    flat = shares.reshape(-1)
    enough = np.flatnonzero(flat >= MIN_CARRIERS)
    kept = enough[np.argsort(np.abs(flat[enough] - 0.5), kind="stable")[:MAX_CANDIDATES]]
    return [((int(index) // 2, int(index) % 2 + 1),) for index in np.sort(kept)]


def learn(
    dosage: NDArray[np.int8],
    score: NDArray[np.float64],
    pool: list[Pattern],
    *,
    patterns: int,
    min_share: float = 0.0,
) -> Codebook:
    """Choose patterns from `pool` one by one: each time the one that lowers the score's squared error most.

    No site is shown by two patterns, so that each pattern has columns of its own in a recipient's model.

    Args:
        dosage: Public people (panel and mosaics), [people, sites].
        score: Their risk scores, [people] or [people, scores].
        pool: Candidate patterns, the empty one not among them.
        patterns: J, the empty pattern included, at least 1.
        min_share: Candidates that would attract less of the public people are passed over.

    Returns:
        A deterministic codebook of at most J patterns.
    """
    points = np.asarray(score, dtype=np.float64).reshape(len(dosage), -1)  # [people, scores]
    has = contains(dosage, pool)  # [people, candidates]
    carriers = np.ascontiguousarray(has.T, dtype=np.float64)
    levels = _levels(points)
    to_levels = _distance(points, levels)  # [people, levels]
    sites = [{site for site, _ in pattern} for pattern in pool]
    free: NDArray[np.bool_] = np.asarray(has.any(axis=0))
    chosen: list[int] = []
    centroids = points.mean(axis=0, keepdims=True)
    while len(chosen) < patterns - 1 and free.any():
        now = _masked_distance(points, has[:, chosen], centroids).min(axis=1)
        saved = np.maximum(now[:, None] - to_levels, 0.0)
        gain = carriers @ saved / len(points)  # [candidates, levels]
        attracted = carriers @ (saved > 0).astype(np.float64) / len(points)
        gain[(attracted < min_share) | ~free[:, None]] = 0.0
        # Rounded, so that machines whose sums differ in the last bits choose alike.
        gain = np.round(gain / max(float(points.var()), 1e-300), 9)
        candidate, level = divmod(int(gain.argmax()), gain.shape[1])
        if gain[candidate, level] <= 0.0:
            break
        chosen.append(candidate)
        centroids = _lloyd(points, has[:, chosen], np.concatenate([centroids, levels[level][None]]))
        free &= np.array([not (own & sites[candidate]) for own in sites])
    return Codebook(dosage.shape[1], ((), *(pool[index] for index in chosen)), centroids)


def _levels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trial centroids, [levels, scores]: middles of equal shares, or of clusters (k-means, Lloyd 1982)."""
    if points.shape[1] == 1:
        levels: NDArray[np.float64] = np.quantile(points[:, 0], (np.arange(_LEVELS) + 0.5) / _LEVELS)[:, None]
        return levels
    count = min(_LEVELS_MANY, len(points))
    centres = points[np.linspace(0, len(points) - 1, count).astype(np.int64)].copy()
    for _ in range(_CLUSTER_STEPS):
        nearest = _distance(points, centres).argmin(axis=1)
        for index in np.unique(nearest):
            centres[index] = points[nearest == index].mean(axis=0)
    return centres


def _lloyd(points: NDArray[np.float64], has: NDArray[np.bool_], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alternate assignment and means of all but the empty pattern; `has`: [people, J - 1]."""
    for _ in range(LLOYD_STEPS):
        assigned = _masked_distance(points, has, centroids).argmin(axis=1)
        for index in range(1, len(centroids)):
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
