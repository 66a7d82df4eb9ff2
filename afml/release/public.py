"""Public people: the panel and mosaics of it, on which patterns are learned and plans are attacked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.draws import public_draw
from afml.masking.mosaics import mosaics
from afml.masking.networks.features import PanelStatistics
from afml.masking.settings import RISK
from afml.release.method import MOSAICS
from afml.release.model import ScoredModel

_MOSAIC_GENOTYPES = 100_000_000
#: Share of the panel that is near to somebody.
_ALIKE = 0.05
_FEWEST_ALIKE = 5
#: Principal components of the panel by which people are near, and sites that these are found at.
_DIRECTIONS, _DIRECTION_SITES = 3, 4000


def learning_people(
    model: ScoredModel, panel: NDArray[np.int8], mosaics: int = MOSAICS, *, near: bool = False
) -> NDArray[np.int8]:
    """Whom patterns are learned on, [people, sites]."""
    return with_mosaics(model, panel, mosaics, "release plan", near=near)


def with_mosaics(
    model: ScoredModel, panel: NDArray[np.int8], wanted: int, label: str, *, near: bool = False
) -> NDArray[np.int8]:
    """The panel and up to `wanted` mosaics of it, as many as memory allows, [people, sites].

    Args:
        model: Has the stem of public draws.
        panel: Public people, [people, sites].
        wanted: Mosaics.
        label: Of the draw.
        near: Whether a mosaic is of two people of near ancestry, whatever the model keeps.
    """
    most = _MOSAIC_GENOTYPES * (1 if wanted <= MOSAICS else 2)
    count = max(0, min(wanted, most // panel.shape[1] - len(panel)))
    people = np.empty((len(panel) + count, panel.shape[1]), np.int8)
    people[: len(panel)] = panel
    mosaics(panel, count, public_rng(model, label), out=people[len(panel) :], alike=alike(model, panel, near=near))
    return people


def alike(model: ScoredModel, panel: NDArray[np.int8], *, near: bool = False) -> NDArray[np.int64] | None:
    """Whom everybody of the panel is joined with in a mosaic, [people, some]; None: with anybody.

    Where scores tell ancestry, or patterns are so many that they tell it as well, people of mixed ancestry would be the
    rule among mosaics of anybody with anybody, and patterns would be spent on them: there, the second is one of those
    whose components are nearest.

    Args:
        model: Its last scores are the components that it keeps.
        panel: Public people, [people, sites].
        near: Whether people are joined so where the model keeps none: by the panel's principal components.
    """
    kept = int(model.card.get(RISK, {}).get("kept_components", 0))
    if not kept and not near:
        return None
    points = model.risk_score(panel).reshape(len(panel), -1)[:, -kept:] if kept else _ancestry(panel)
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


def _ancestry(panel: NDArray[np.int8]) -> NDArray[np.float64]:
    """The panel's people on its principal components, [people, components]."""
    some = panel[:, :: max(1, panel.shape[1] // _DIRECTION_SITES)]
    standard = PanelStatistics.from_panel(some, 0).standardise(some).astype(np.float64)
    values, vectors = np.linalg.eigh(standard @ standard.T)  # ascending
    points = vectors[:, -_DIRECTIONS:] * np.sqrt(np.maximum(values[-_DIRECTIONS:], 0))
    return np.asarray(points)


def public_rng(model: ScoredModel, label: str) -> np.random.Generator:
    """A generator for public data, the same for everybody who holds the model."""
    return public_draw(str(model.card.get("draws", "")), label)
