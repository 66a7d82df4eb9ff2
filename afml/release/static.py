"""Release method "static": the same few sites are shown of everybody, those that weigh most in the scores.

A recipient sees genotypes and not what a noisy score makes of them, and weighs them anew: where a score is mostly
noise, one true genotype of its best site says more of the trait than the score does in any number of bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook, Pattern

#: With more patterns than this, one site more tells less than other methods tell with as many.
MOST_PATTERNS = 128


class StaticSites(ReleaseMethod):
    """Combinations of the genotypes of the strongest sites, of as many sites as the number of patterns allows."""

    name = "static"
    title = "static codebook"
    compared = True

    def points(self, model: ScoredModel, codebook: Codebook, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """Weighed dosages of the sites that are shown, [people, sites shown]; a missing call counts as 0."""
        return _weighed(model, shown_sites(codebook.patterns), dosage)

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """Site by site, each of the patterns so far with each genotype of the next, where enough people have it."""
        found = _codebook(model, people.shape[1], [()])
        for site in strongest_sites(model.weights):
            taken = found.assign(people, self.points(model, found, people))
            split = list(found.patterns)
            for index, pattern in enumerate(found.patterns):
                genotypes = _common(people[taken == index, site], max(share * len(people), 1.0))
                split += [tuple(sorted((*pattern, (int(site), value)))) for value in genotypes]
            if len(split) > min(patterns, MOST_PATTERNS):
                break
            found = _codebook(model, people.shape[1], split)
        return found


def strongest_sites(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sites that weigh anything, the strongest first; of several scores the first of each, then the second of each, ...

    Args:
        weights: On standardised dosages, [sites] or [scores, sites].
    """
    strength = np.abs(np.atleast_2d(weights))
    order = np.argsort(-strength, axis=1, kind="stable").T  # [rank, scores]
    ranked = (int(site) for row in order for score, site in enumerate(row) if strength[score, site] > 0)
    return np.array(list(dict.fromkeys(ranked)), dtype=np.int64)


def shown_sites(patterns: tuple[Pattern, ...] | list[Pattern]) -> NDArray[np.int64]:
    """Sites that any pattern shows, ascending."""
    return np.array(sorted({site for pattern in patterns for site, _ in pattern}), dtype=np.int64)


def _common(dosage: NDArray[np.int8], least: float) -> list[int]:
    """Genotypes of one site that may be shown of some people: enough have it, and enough are left without, [people]."""
    counts = np.bincount(np.maximum(dosage, 0), minlength=3)
    found = [value for value in (1, 2) if counts[value] >= least]
    while found and len(dosage) - counts[found].sum() < least:
        found.remove(min(found, key=lambda value: counts[value]))
    return found


def _codebook(model: ScoredModel, sites: int, patterns: list[Pattern]) -> Codebook:
    """Patterns that stand for their own genotypes: everybody takes the one that hides least of the weight."""
    bare = Codebook(sites, tuple(patterns), np.zeros((len(patterns), 0)))
    return Codebook(sites, bare.patterns, _weighed(model, shown_sites(patterns), bare.shown(0)))


def _weighed(model: ScoredModel, sites: NDArray[np.int64], dosage: NDArray[np.int8]) -> NDArray[np.float64]:
    """What showing so many copies is worth, [people, sites]."""
    strength = np.abs(np.atleast_2d(model.weights)).max(axis=0)
    return np.asarray(np.maximum(dosage[:, sites], 0) * strength[sites])


METHOD = StaticSites()
