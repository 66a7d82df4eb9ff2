"""What a release could say, and what it would give away, for more and more patterns: from public people alone.

An attacker who sees a file names at most one right person a pattern (`afml.release.grouping`), so the number of
patterns bounds the re-identification rate, whatever the attack. What they say is judged on panel people that they were
not learned from. Whoever decides about a release sees both before anything is released.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import ReleaseSettings
from afml.release.method import asked_for
from afml.release.model import ScoredModel
from afml.release.trial import hold_trial

_STEPS = (5, 10, 20, 50, 100, 200, 500, 1000, 1500, 2000, 2500)


@dataclass(frozen=True)
class FrontierPoint:
    """A release of so many patterns.

    Attributes:
        patterns: Asked for.
        method: The best of those that would be compared.
        explained: Share of the scores' variance that it carries on held-out panel people, the mean over scores.
        rr_known: Re-identification rate at most, where an attacker knows the institution; of the smallest file.
        rr: The same of an attacker who does not.
    """

    patterns: int
    method: str
    explained: float
    rr_known: float
    rr: float


def frontier(
    model: ScoredModel,
    panel: NDArray[np.int8],
    settings: ReleaseSettings,
    files: tuple[int, ...],
    without: Collection[str] = (),
) -> tuple[FrontierPoint, ...]:
    """The points from few patterns to as many as the smallest file has groups for, and what the settings ask for.

    Args:
        model: The trained model.
        panel: Panel dosages, [people, sites].
        settings: How records are released.
        files: People of each released file to come.
        without: Methods that "auto" does not compare.
    """
    room = max(1, min(files) // settings.min_group_size)
    steps = sorted({min(step, room) for step in (*_STEPS, settings.patterns)})
    points = []
    for patterns in steps:
        wanted = settings.model_copy(update={"patterns": patterns, "target_rr": None})
        methods = asked_for(settings.method, model, patterns, settings.fill, without)
        best = max(
            (hold_trial(model, panel, wanted, one, min(files)) for one in methods),
            key=lambda one: one.preferred(one.explained),
        )
        known, anywhere = patterns / min(files), min(1.0, patterns / sum(files))
        points.append(FrontierPoint(patterns, best.method, best.explained, known, anywhere))
    return tuple(points)
