"""The codebook table: what every pattern of a release says of the scores, for whoever trains on it.

Once there are more patterns than sites, or a pattern shows a genotype that most people have, the dosages of a released
record tell a model little. What they stand for does: the table names every pattern by what it shows, and gives the
scores to expect of whoever shows it, with their spread. All of it follows from the plan and from public people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afml.release.method import METHODS
from afml.release.plan import ReleasePlan
from afml.release.public import learning_people

#: Public people who are scored at a time.
_PEOPLE_AT_ONCE = 4096


def expected(plan: ReleasePlan, panel: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the public people who take each pattern: (mean, standard deviation), [J, scores] each.

    Of a pattern that none of them takes, its centroid and the deviation of all public people.

    Args:
        plan: The plan.
        panel: Panel dosages, [people, sites].
    """
    method = METHODS.get(plan.method)
    public = learning_people(plan.model, panel, method.mosaics(len(plan.codebook.patterns)), near=method.many)
    patterns, scores = len(plan.codebook.patterns), plan.model.risk_score(panel[:1]).size
    people = np.zeros(patterns)
    sums, squares = np.zeros((patterns, scores)), np.zeros((patterns, scores))
    for start in range(0, len(public), _PEOPLE_AT_ONCE):
        dosage = public[start : start + _PEOPLE_AT_ONCE]
        score = plan.model.risk_score(dosage).reshape(len(dosage), scores)
        taken = plan.codebook.assign(plan.contained(dosage), plan.points(dosage))
        people += np.bincount(taken, minlength=patterns)
        np.add.at(sums, taken, score)
        np.add.at(squares, taken, score**2)
    spread = squares.sum(axis=0) / len(public) - (sums.sum(axis=0) / len(public)) ** 2
    some = np.maximum(people, 1)[:, None]
    unseen = plan.codebook.centroids if plan.codebook.centroids.shape == sums.shape else sums.sum(axis=0) / len(public)
    mean = np.where(people[:, None] > 0, sums / some, unseen)
    variance = np.where(people[:, None] > 0, squares / some - mean**2, spread)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def codebook_table(
    plan: ReleasePlan, panel: NDArray[np.int8], names: Sequence[str], shown: Sequence[Sequence[str]]
) -> str:
    """The table as text: a line for each pattern, with tabs.

    Args:
        plan: The plan.
        panel: Panel dosages, [people, sites].
        names: Of the scores.
        shown: What each pattern shows in a released file, in words, J of them.
    """
    mean, deviation = expected(plan, panel)
    heads = [f"{kind}_{name}" for name in names for kind in ("score", "sd")]
    lines = ["\t".join(("pattern", "shows", *heads))]
    for index, words in enumerate(shown):
        numbers = [f"{value:.6g}" for pair in zip(mean[index], deviation[index], strict=True) for value in pair]
        lines.append("\t".join((str(index), ";".join(words), *numbers)))
    return "\n".join(lines) + "\n"


class Decoder:
    """Released records -> what the codebook table says of their patterns.

    Args:
        plan: The plan.
        panel: Panel dosages, [people, sites].
    """

    def __init__(self, plan: ReleasePlan, panel: NDArray[np.int8]) -> None:
        self._plan = plan
        self._mean, _ = expected(plan, panel)

    def __call__(self, released: NDArray[np.int8]) -> NDArray[np.float64]:
        """Mean scores of the patterns that records show, [people, scores]; a record that is none counts as empty."""
        return np.asarray(self._mean[np.maximum(self._plan.pattern_of(released), 0)])


def decoder_of(plan: ReleasePlan, panel: NDArray[np.int8]) -> Decoder | None:
    """The decoder of a plan whose recipients train on the table, None where they train on dosages.

    Args:
        plan: The plan.
        panel: Panel dosages, [people, sites].
    """
    return Decoder(plan, panel) if METHODS.get(plan.method).tabled else None
