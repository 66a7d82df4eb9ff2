"""Mosaics: made-up public people out of the panel's, as many as are wanted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mosaics(
    panel: NDArray[np.int8],
    count: int,
    rng: np.random.Generator,
    *,
    windows: int = 32,
    out: NDArray[np.int8] | None = None,
    alike: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """New public people: about half of the windows from each of two panel people, [count, sites].

    Args:
        panel: [people, sites].
        count: How many.
        rng: Chooses people and windows.
        windows: Stretches of sites that stay together.
        out: Where they are put, if anywhere.
        alike: Of everybody, whom the second may be, [people, some]; by default anybody.
    """
    people, sites = panel.shape
    edges = np.minimum(np.arange(sites) * windows // sites, windows - 1)  # window of each site
    out = np.empty((count, sites), np.int8) if out is None else out
    for row in range(count):
        first, second = rng.integers(people, size=2)
        if alike is not None:
            second = alike[first, second % alike.shape[1]]
        pick = rng.integers(2, size=windows)[edges].astype(bool)
        out[row] = np.where(pick, panel[first], panel[second])
    return out
