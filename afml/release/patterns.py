"""Patterns of a release, and a codebook of them.

A pattern is a set of genotypes that a released record shows; everything else is masked. The empty pattern
shows nothing. A person may take only a pattern that the person's own genome contains, so every shown
genotype is true, and takes the one whose *centroid* (mean risk score of the public people who take it) is
nearest to the person's own risk score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.release.choices import Choices

#: Records that are compared with the patterns at a time; no power of two, at which caches turn tables round slowly.
_PEOPLE_AT_ONCE = 2000
_FEW = 8  # sites for each that is looked at

Pattern = tuple[tuple[int, int], ...]
"""Shown genotypes as (site, dosage), ascending by site; empty: nothing is shown. 0 goes with fill "missing" alone."""


@dataclass(frozen=True)
class Codebook:
    """Patterns and their centroids.

    Attributes:
        sites: Number of sites of a record.
        patterns: J patterns; pattern 0 is the empty one.
        centroids: Risk scores the patterns stand for, [J, scores].
        scale: What distances are measured in, score by score, [scores]; by default all scores are as long as they are.
        steps: Of one that was learned pattern by pattern, the centroids it had with 1, 2, ..., J patterns; else empty.
    """

    sites: int
    patterns: tuple[Pattern, ...]
    centroids: NDArray[np.float64]
    scale: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    steps: tuple[NDArray[np.float64], ...] = ()

    def first(self, patterns: int) -> Codebook | None:
        """What it was with so many patterns, at least 1; itself, if it has no more. None where nobody knows."""
        steps = self.steps[:patterns]
        if not steps:
            return None
        return replace(self, patterns=self.patterns[: len(steps)], centroids=steps[-1], steps=steps)

    def available(self, dosage: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Which patterns each record contains, [people, J]; a missing call is never contained."""
        return contains(dosage, self.patterns)

    def choices(self, dosage: NDArray[np.int8], score: NDArray[np.float64]) -> Choices:
        """What people may choose from.

        Args:
            dosage: Records, [people, sites].
            score: Risk scores, [people] or [people, scores].
        """
        points = np.asarray(score, dtype=np.float64).reshape(len(dosage), self.centroids.shape[1])
        return Choices(points / self.scale, np.packbits(self.available(dosage), axis=1), self.centroids / self.scale)

    def assign(self, dosage: NDArray[np.int8], score: NDArray[np.float64]) -> NDArray[np.int64]:
        """The available pattern with the nearest centroid, per person; ties go to the earlier pattern.

        Args:
            dosage: Records, [people, sites].
            score: Risk scores, [people] or [people, scores].
        """
        assigned = np.zeros(len(dosage), np.int64)
        for part in _parts_of(len(dosage)):
            assigned[part] = self.choices(dosage[part], score[part]).nearest()[0]
        return assigned

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
        return hashlib.sha256(
            canonical_json(body) + self.centroids.astype("<f8").tobytes() + self.scale.astype("<f8").tobytes()
        ).hexdigest()


def contains(dosage: NDArray[np.int8], patterns: tuple[Pattern, ...] | list[Pattern]) -> NDArray[np.bool_]:
    """Which patterns each record contains, [people, patterns]."""
    out = np.empty((len(dosage), len(patterns)), dtype=bool)
    sites = sorted({site for pattern in patterns for site, _ in pattern})
    row = {site: at for at, site in enumerate(sites)}
    columns, few = np.array(sites, np.int64), _FEW * len(sites) < dosage.shape[1]
    for part in _parts_of(len(dosage)):
        # Site by site: people lie side by side. All records are turned round at once, but not for a few sites.
        turned = dosage[part][:, columns].T if few else np.take(dosage[part].T, columns, axis=0)
        calls = np.ascontiguousarray(turned)
        held = np.ones((len(patterns), calls.shape[1]), dtype=bool)
        for whose, pattern in zip(held, patterns, strict=True):
            for site, value in pattern:
                whose &= calls[row[site]] == value
        out[part] = held.T
    return out


def _parts_of(people: int) -> Iterator[slice]:
    """Records that are compared with patterns together."""
    for start in range(0, people, _PEOPLE_AT_ONCE):
        yield slice(start, min(start + _PEOPLE_AT_ONCE, people))
