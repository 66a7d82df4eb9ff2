"""Made-up images of ten kinds, for networks whose speed is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHAPES: dict[str, tuple[int, ...]] = {"mlp": (1, 8, 8), "resnet18": (3, 32, 32)}
"""Of one item, for each network of `benchmarks/tenant`."""


def rows(shape: tuple[int, ...], people: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(features [people, *shape] in [0, 1], kind of each [people])."""
    rng = np.random.default_rng(seed)
    return rng.random((people, *shape), dtype=np.float32), rng.integers(0, 10, people)
