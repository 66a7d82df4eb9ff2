"""Public people: the panel and mosaics of it, on which patterns are learned and plans are attacked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.draws import public_draw
from afml.masking.mosaics import mosaics
from afml.masking.settings import RISK
from afml.release.method import MOSAICS
from afml.release.model import ScoredModel

_MOSAIC_GENOTYPES = 100_000_000
#: Share of the panel that is near to somebody.
_ALIKE = 0.05
_FEWEST_ALIKE = 5


def learning_people(model: ScoredModel, panel: NDArray[np.int8], mosaics: int = MOSAICS) -> NDArray[np.int8]:
    """Whom patterns are learned on, [people, sites]."""
    return with_mosaics(model, panel, mosaics, "release plan")


def with_mosaics(model: ScoredModel, panel: NDArray[np.int8], wanted: int, label: str) -> NDArray[np.int8]:
    """The panel and up to `wanted` mosaics of it, as many as memory allows, [people, sites].

    Args:
        model: Has the stem of public draws.
        panel: Public people, [people, sites].
        wanted: Mosaics.
        label: Of the draw.
    """
    most = _MOSAIC_GENOTYPES * (1 if wanted <= MOSAICS else 2)
    count = max(0, min(wanted, most // panel.shape[1] - len(panel)))
    people = np.empty((len(panel) + count, panel.shape[1]), np.int8)
    people[: len(panel)] = panel
    mosaics(panel, count, public_rng(model, label), out=people[len(panel) :], alike=alike(model, panel))
    return people


def alike(model: ScoredModel, panel: NDArray[np.int8]) -> NDArray[np.int64] | None:
    """Whom everybody of the panel is joined with in a mosaic, [people, some]; None: with anybody.

    Where scores tell ancestry, people of mixed ancestry would be the rule among mosaics of anybody with anybody, and
    patterns would be spent on them: there, the second is one of those whose kept components are nearest.

    Args:
        model: Its last scores are the components that it keeps.
        panel: Public people, [people, sites].
    """
    kept = int(model.card.get(RISK, {}).get("kept_components", 0))
    if not kept:
        return None
    points = model.risk_score(panel).reshape(len(panel), -1)[:, -kept:]
    some = min(len(panel) - 1, max(_FEWEST_ALIKE, int(len(panel) * _ALIKE)))
    if some < 1:
        return None
    found = np.empty((len(panel), some), np.int64)
    for row, point in enumerate(points):
        # Rounded, so that machines whose sums differ in the last bits find the same people.
        distance = np.round(((points - point) ** 2).sum(axis=1), 6)
        distance[row] = np.inf  # with themselves they would be a copy
        found[row] = np.argsort(distance, kind="stable")[:some]
    return found


def public_rng(model: ScoredModel, label: str) -> np.random.Generator:
    """A generator for public data, the same for everybody who holds the model."""
    return public_draw(str(model.card.get("draws", "")), label)
