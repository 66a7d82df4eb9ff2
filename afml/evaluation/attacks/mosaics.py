"""Synthetic people: mosaics of real ones, as many as wanted."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks.base import Int8


def mosaic_people(people: Int8, count: int, rng: np.random.Generator, *, window: int = 32) -> Int8:
    """New people, each made of about half of the windows of each of two others.

    Within a window genotypes stay together, so that frequencies and short-range linkage disequilibrium are
    those of `people`; a mosaic is as closely related to its two sources as a child is to its parents.

    Args:
        people: int8[p, S], whom to take from; missing calls are taken as well.
        count: How many to make.
        rng: Source of randomness; the experiment's, not a secret.
        window: Sites of a window.

    Returns:
        int8[count, S].
    """
    sites = people.shape[1]
    windows = -(-sites // window)
    first = rng.integers(0, len(people), size=count)
    # Two different people: a mosaic of one would be a copy.
    other = (first + rng.integers(1, max(2, len(people)), size=count)) % len(people)
    sources = np.stack([first, other])
    choice = rng.integers(0, 2, size=(windows, count))
    made = np.empty((count, sites), dtype=np.int8)
    for w in range(windows):
        part = slice(w * window, min((w + 1) * window, sites))
        made[:, part] = people[sources[choice[w], np.arange(count)], part]
    return made
