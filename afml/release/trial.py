"""Trials: what a method's patterns would tell, on panel people that they were not learned from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import ReleaseSettings
from afml.release.expected import Expectation, expectation
from afml.release.grouping import assign_groups
from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook
from afml.release.public import learning_people, with_mosaics

#: Held-out panel people and mosaics of them that few patterns are judged on, and mosaics for each of many patterns.
_JUDGED, _JUDGED_MANY = 1000, 8
#: With more patterns than this noise is not what limits a release, and these people are too few to judge it by.
_MOST_PATTERNS = 50
#: What dosages promise counts for so much of what a table of scores does: recipients fit a weight to every column, and
#: where the score is noisy that was expected to tell more and told less. Chosen on phenotype seeds 1000 and above.
_BY_DOSAGES = 0.85


@dataclass(frozen=True)
class Trial:
    """One method on the held-out half of the panel.

    Attributes:
        method: The method.
        explained: Share of the risk score's variance that the released patterns carry, in [0, 1]; the mean over
            scores where there are several.
        patterns: Patterns in use.
        rr_bound: Patterns over people, an attacker's expected top-1 success at most.
        asked: Patterns that were asked for.
        expected: Correlation of each trait with what recipients will predict of others, in [0, 1]; empty where the
            noise of the scores is not known.
        complete: Whether every score has one: components that a model keeps have none.
        tabled: Whether recipients read in a table what a pattern says.
    """

    method: str
    explained: float
    patterns: int
    rr_bound: float
    asked: int = 0
    expected: tuple[float, ...] = ()
    complete: bool = True
    tabled: bool = False

    @property
    def by_expectation(self) -> bool:
        """Whether it is `expected` that a method is chosen by."""
        return self.complete and bool(self.expected)

    @property
    def worth(self) -> float:
        """What a method is chosen by: the mean of `expected`, or `explained` where that says nothing of some score."""
        return sum(self.expected) / len(self.expected) if self.by_expectation else self.explained

    def preferred(self, promise: float) -> float:
        """What a promise of this trial counts beside those of others: less where dosages get weights of their own."""
        return promise if self.tabled else _BY_DOSAGES * promise


@dataclass(frozen=True, eq=False)
class Ground:
    """Where methods are tried: learned on the panel's even people, judged on the odd ones.

    Attributes:
        model: The trained model.
        panel: Panel dosages, [people, sites].
        settings: How records are released.
        file_people: People of a released file to come.
    """

    model: ScoredModel
    panel: NDArray[np.int8]
    settings: ReleaseSettings
    file_people: int

    @cached_property
    def expectation(self) -> Expectation | None:
        """What is known of the traits; None where the noise of the scores is not, or is not what matters."""
        return None if self.settings.patterns > _MOST_PATTERNS else expectation(self.model, self.panel)

    @cached_property
    def _learned(self) -> dict[int, NDArray[np.int8]]:
        """Number of mosaics -> whom patterns are learned on, as far as they were needed yet."""
        return {}

    @cached_property
    def _books(self) -> dict[tuple[str, int], tuple[int, Codebook]]:
        """(method, number of mosaics) -> (patterns asked for, what was learned)."""
        return {}

    @cached_property
    def _contained(self) -> dict[tuple[str, str], NDArray[np.int8]]:
        """(method, which people) -> what their patterns may be taken from, as far as it was needed yet."""
        return {}

    def _contained_in(self, method: ReleaseMethod, whom: str, people: NDArray[np.int8]) -> NDArray[np.int8]:
        """`method.contained`, which takes a network long, once for everybody who is tried with again."""
        if (method.name, whom) not in self._contained:
            self._contained[method.name, whom] = method.contained(self.model, people)
        return self._contained[method.name, whom]

    def _learned_by(self, method: ReleaseMethod, patterns: int, share: float) -> Codebook:
        """`method.learn`, or what an earlier book of more patterns was when it had so many."""
        mosaics = method.mosaics(patterns)
        asked, book = self._books.get((method.name, mosaics), (0, None))
        earlier = book.first(patterns) if book is not None and patterns <= asked else None
        if earlier is not None:
            return earlier
        if mosaics not in self._learned:
            self._learned[mosaics] = learning_people(self.model, self.panel[::2], mosaics, near=method.many)
        people = self._learned[mosaics]
        contained = self._contained_in(method, f"learned with {mosaics}", people)
        learned = method.learn(self.model, people, contained, patterns, share)
        self._books[method.name, mosaics] = patterns, learned
        return learned

    @cached_property
    def _judged(self) -> NDArray[np.int8]:
        """Whom few patterns are judged on; expectations need more people than a panel has."""
        held_out = self.panel[1::2]
        if self.expectation is None:
            return held_out
        return with_mosaics(self.model, held_out, max(0, _JUDGED - len(held_out)), "trial")

    def hold(self, method: ReleaseMethod, patterns: int) -> Trial:
        """Try a method with so many patterns, in groups of the same share of the people as in the file to come."""
        share = self.settings.min_group_size / self.file_people
        codebook = self._learned_by(method, patterns, share)
        judged, whom = self._judged, "judged"
        if method.many:  # a group of thousands of patterns needs more people than a panel has
            judged = with_mosaics(self.model, self.panel[1::2], _JUDGED_MANY * patterns, "trial", near=True)
            whom = f"judged for {patterns}"
        size = max(1, min(round(share * len(judged)), len(judged)))
        points = method.points(self.model, codebook, judged)
        assigned = assign_groups(codebook, self._contained_in(method, whom, judged), points, size)
        columns = codebook.centroids[assigned] if method.tabled else codebook.show(assigned, 0)
        expected = () if self.expectation is None else self.expectation.told(judged, columns)
        score = self.model.risk_score(judged).reshape(len(judged), -1)  # [people, scores]
        # The mean of a large group is what it says; of a small one, what was learned of it before.
        told = codebook.centroids[assigned] if method.many else _group_means(score, assigned)
        used = int(np.count_nonzero(np.bincount(assigned)))
        complete = len(expected) in (0, score.shape[1])
        return Trial(
            method.name, _explained(score, told), used, used / len(judged), patterns, expected, complete, method.tabled
        )


def hold_trial(
    model: ScoredModel, panel: NDArray[np.int8], settings: ReleaseSettings, method: ReleaseMethod, file_people: int
) -> Trial:
    """Learn on the panel's even people, judge on the odd ones at the same group share.

    Args:
        model: The trained model.
        panel: Panel dosages, [people, sites].
        settings: How records are released.
        method: What is tried.
        file_people: People of a released file to come.
    """
    return Ground(model, panel, settings, file_people).hold(method, settings.patterns)


def _explained(score: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """Share of the variance of scores that is told, both [people, scores]; the mean over scores."""
    spread = score.var(axis=0)
    error = ((score - told) ** 2).mean(axis=0)
    return round(float(np.mean(1.0 - error[spread > 0] / spread[spread > 0])), 6) if spread.any() else 0.0


def _group_means(score: NDArray[np.float64], assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean score of each person's group, [people, scores]."""
    sums = np.zeros((int(assigned.max()) + 1, score.shape[1]))
    np.add.at(sums, assigned, score)
    means: NDArray[np.float64] = sums / np.maximum(np.bincount(assigned), 1)[:, None]
    return means[assigned]
