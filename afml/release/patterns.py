"""Patterns of a release, and a codebook of them.

A pattern is a set of genotypes that a released record shows; everything else is masked. The empty pattern
shows nothing. A person may take only a pattern that the person's own genome contains, so every shown
genotype is true, and takes the one whose *centroid* (mean risk score of the public people who take it) is
nearest to the person's own risk score.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.release.lloyd import squared_distance

Pattern = tuple[tuple[int, int], ...]
"""Shown genotypes as (site, dosage in {1, 2}), ascending by site; empty: nothing is shown."""


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
        out = squared_distance(score, self.centroids)
        out[~self.available(dosage)] = np.inf
        return out

    def assign(self, dosage: NDArray[np.int8], score: NDArray[np.float64]) -> NDArray[np.int64]:
        """The available pattern with the nearest centroid, per person; ties go to the earlier pattern.

        Args:
            dosage: Records, [people, sites].
            score: Risk scores, [people] or [people, scores].
        """
        return np.argmin(self.distance(dosage, score), axis=1)

    def show(self, assigned: NDArray[np.int64], masked: int) -> NDArray[np.int8]:
        """Released records of assigned patterns, `masked` wherever nothing is shown, [people, sites]."""
        return self.shown(masked)[assigned]

    def shown(self, masked: int) -> NDArray[np.int8]:
        """What each pattern shows, `masked` wherever that is nothing, [J, sites]."""
        rows = np.full((len(self.patterns), self.sites), masked, np.int8)
        for index, pattern in enumerate(self.patterns):
            for site, value in pattern:
                rows[index, site] = value
        return rows

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
