"""Groups: in one released file, every pattern that occurs is shared by at least k people.

A recipient knows which institution a file came from, so the file is what counts. If every pattern is
shared by k people of the file, then whatever an attacker knows, picking the right person of the file has
expected success at most (patterns in the file) / (people in the file) <= 1 / k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ReleaseError
from afml.training.codebook import Codebook


def assign_groups(
    codebook: Codebook, contained: NDArray[np.int8], score: NDArray[np.float64], min_group_size: int
) -> NDArray[np.int64]:
    """Assign a pattern to everybody in a file so that each one in use has at least `min_group_size` people.

    The rarest pattern is closed and its people move to the nearest pattern they still contain, down to the
    empty one, until no group is too small. When the group of the empty pattern itself is too small, the
    smallest other group is closed to feed it.

    Args:
        codebook: Patterns and centroids.
        contained: Records, or what a network shows of them; patterns must be contained, [people, sites].
        score: Risk scores, [people] or [people, scores].
        min_group_size: k, at least 1.

    Returns:
        Pattern index per person, [people].

    Raises:
        ReleaseError: The file has fewer than k people.
    """
    people = len(contained)
    if people < min_group_size:
        raise ReleaseError(
            f"{people} people cannot form a group of {min_group_size}",
            cure="release more people together or lower min_group_size",
        )
    active = np.ones(len(codebook.patterns), dtype=bool)
    while True:
        assigned = codebook.assign(contained, score, active)
        sizes = np.bincount(assigned, minlength=len(active))
        used = sizes > 0
        if not (used & (sizes < min_group_size)).any():
            return assigned
        # Close the smallest group in use that is not the empty pattern; ties: the later, weaker pattern.
        closable = np.flatnonzero(used[1:]) + 1
        smallest = closable[np.lexsort((-closable, sizes[closable]))[0]]
        active[smallest] = False


def entropy_bits(assigned: NDArray[np.int64]) -> float:
    """Entropy of the pattern of a random person of the file, bits."""
    share = np.bincount(assigned) / max(len(assigned), 1)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) + 0.0
