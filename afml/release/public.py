"""Public people: the panel and mosaics of it, on which patterns are learned and plans are attacked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.draws import public_draw
from afml.masking.mosaics import mosaics
from afml.release.method import MOSAICS
from afml.release.model import ScoredModel

_MOSAIC_GENOTYPES = 100_000_000


def learning_people(model: ScoredModel, panel: NDArray[np.int8], mosaics: int = MOSAICS) -> NDArray[np.int8]:
    """Whom patterns are learned on, [people, sites]."""
    return with_mosaics(panel, mosaics, public_rng(model, "release plan"))


def with_mosaics(panel: NDArray[np.int8], wanted: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """The panel and up to `wanted` mosaics of it, as many as memory allows, [people, sites]."""
    most = _MOSAIC_GENOTYPES * (1 if wanted <= MOSAICS else 2)
    count = max(0, min(wanted, most // panel.shape[1] - len(panel)))
    people = np.empty((len(panel) + count, panel.shape[1]), np.int8)
    people[: len(panel)] = panel
    mosaics(panel, count, rng, out=people[len(panel) :])
    return people


def public_rng(model: ScoredModel, label: str) -> np.random.Generator:
    """A generator for public data, the same for everybody who holds the model."""
    return public_draw(str(model.card.get("draws", "")), label)
