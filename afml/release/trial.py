"""Trials: what a method's patterns would carry, on panel people that they were not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import ReleaseSettings
from afml.release.grouping import assign_groups
from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.public import learning_people, public_rng, with_mosaics

#: Mosaics of held-out panel people that many patterns are judged on, for each of them.
_JUDGED = 8


@dataclass(frozen=True)
class Trial:
    """One method on the held-out half of the panel.

    Attributes:
        method: The method.
        explained: Share of the risk score's variance that the released patterns carry, in [0, 1]; the mean over
            scores where there are several.
        patterns: Patterns in use.
        rr_bound: Patterns over people, an attacker's expected top-1 success at most.
    """

    method: str
    explained: float
    patterns: int
    rr_bound: float


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
    learned, held_out = panel[::2], panel[1::2]
    share = settings.min_group_size / file_people
    codebook = method.learn(
        model, learning_people(model, learned, method.mosaics(settings.patterns)), settings.patterns, share
    )
    if method.many:  # a group of thousands of patterns needs more people than a panel has
        held_out = with_mosaics(held_out, _JUDGED * settings.patterns, public_rng(model, "trial"))
    score = model.risk_score(held_out).reshape(len(held_out), -1)  # [people, scores]
    size = max(1, round(share * len(held_out)))
    assigned = assign_groups(codebook, method.contained(model, held_out), score, min(size, len(held_out)))
    # The mean of a large group is what it says; of a small one, what was learned of it before.
    told = codebook.centroids[assigned] if method.many else _group_means(score, assigned)
    spread = score.var(axis=0)
    error = ((score - told) ** 2).mean(axis=0)
    explained = float(np.mean(1.0 - error[spread > 0] / spread[spread > 0])) if spread.any() else 0.0
    used = int(np.count_nonzero(np.bincount(assigned)))
    return Trial(method.name, round(explained, 6), used, used / len(held_out))


def _group_means(score: NDArray[np.float64], assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean score of each person's group, [people, scores]."""
    sums = np.zeros((int(assigned.max()) + 1, score.shape[1]))
    np.add.at(sums, assigned, score)
    means: NDArray[np.float64] = sums / np.maximum(np.bincount(assigned), 1)[:, None]
    return means[assigned]
