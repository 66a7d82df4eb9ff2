"""The whole table of distances, and groups made from it: slow, and easy to believe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices


def table(choices: Choices) -> NDArray[np.float64]:
    """Squared distance of everybody to every pattern, infinite where it is not contained, [people, J]."""
    out = ((choices.points[:, None, :] - choices.centroids[None]) ** 2).sum(axis=2)
    if choices.contained is not None:
        out[np.unpackbits(choices.contained, axis=1, count=len(choices.centroids)) == 0] = np.inf
    return out


def grouped(distance: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Feed every small group or close the smallest, whichever distorts less, until none is small."""
    people = len(distance)
    while True:
        assigned = distance.argmin(axis=1)
        sizes = np.bincount(assigned, minlength=distance.shape[1])
        if not ((sizes > 0) & (sizes < k)).any():
            return assigned
        closable = np.flatnonzero(sizes[1:]) + 1
        smallest = closable[np.lexsort((-closable, sizes[closable]))[0]]
        closed = distance.copy()
        closed[:, smallest] = np.inf
        fed = _feed(distance, assigned, k)
        if fed is not None and distance[np.arange(people), fed].sum() <= closed.min(axis=1).sum():
            return fed
        distance = closed


def _feed(distance: NDArray[np.float64], assigned: NDArray[np.int64], k: int) -> NDArray[np.int64] | None:
    fed, people = assigned.copy(), np.arange(len(assigned))
    sizes = np.bincount(assigned, minlength=distance.shape[1])
    small = np.flatnonzero((sizes > 0) & (sizes < k))
    for group in small[np.argsort(-sizes[small], kind="stable")]:
        while sizes[group] < k:
            spare = np.isfinite(distance[:, group]) & (sizes[fed] > k) & (fed != group)
            if not spare.any():
                return None
            loss = np.where(spare, distance[:, group] - distance[people, fed], np.inf)
            person = int(loss.argmin())
            sizes[fed[person]] -= 1
            sizes[group] += 1
            fed[person] = group
    return fed
