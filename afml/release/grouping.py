"""Groups: in one released file, every pattern that occurs is shared by at least k people.

A recipient knows which institution a file came from, so the file is what counts. If every pattern is
shared by k people of the file, then whatever an attacker knows, picking the right person of the file has
expected success at most (patterns in the file) / (people in the file) <= 1 / k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ReleaseError
from afml.release.patterns import Codebook


def assign_groups(
    codebook: Codebook, contained: NDArray[np.int8], score: NDArray[np.float64], min_group_size: int
) -> NDArray[np.int64]:
    """`grouped` for people whose records are at hand: pattern index per person, [people].

    Args:
        codebook: Patterns and centroids.
        contained: Records, or what a network shows of them; patterns must be contained, [people, sites].
        score: Risk scores, [people] or [people, scores].
        min_group_size: k, at least 1.

    Raises:
        ReleaseError: The file has fewer than k people.
    """
    return grouped(codebook.distance(contained, score), min_group_size)


def grouped(distance: NDArray[np.float64], min_group_size: int) -> NDArray[np.int64]:
    """Assign a pattern to everybody in a file so that each one in use has at least `min_group_size` people.

    Groups that are too small are *fed* with the people who contain the pattern, lose least by it and come
    from groups that can spare them; or the smallest is *closed* and its people move to the next pattern they
    contain, down to the empty one. Whichever distorts the scores less is done.

    Args:
        distance: What each pattern would distort of each person's score, infinite where the person does not contain
            it; the first pattern is empty and everybody's, [people, J].
        min_group_size: k, at least 1.

    Returns:
        Pattern index per person, [people].

    Raises:
        ReleaseError: The file has fewer than k people.
    """
    people = len(distance)
    if people < min_group_size:
        raise ReleaseError(
            f"{people} people cannot form a group of {min_group_size}",
            cure="release more people together or lower min_group_size",
        )
    while True:
        assigned = distance.argmin(axis=1)
        sizes = np.bincount(assigned, minlength=distance.shape[1])
        if not ((sizes > 0) & (sizes < min_group_size)).any():
            return assigned
        # Close the smallest group in use that is not the empty pattern; ties: the later, weaker pattern.
        closable = np.flatnonzero(sizes[1:]) + 1
        smallest = closable[np.lexsort((-closable, sizes[closable]))[0]]
        closed = distance.copy()
        closed[:, smallest] = np.inf
        fed = _feed(distance, assigned, min_group_size)
        if fed is not None and distance[np.arange(people), fed].sum() <= closed.min(axis=1).sum():
            return fed
        distance = closed


def _feed(distance: NDArray[np.float64], assigned: NDArray[np.int64], min_group_size: int) -> NDArray[np.int64] | None:
    """Fill every small group to k, the fullest first; None where there are not enough people to spare."""
    fed, people = assigned.copy(), np.arange(len(assigned))
    sizes = np.bincount(assigned, minlength=distance.shape[1])
    small = np.flatnonzero((sizes > 0) & (sizes < min_group_size))
    for group in small[np.argsort(-sizes[small], kind="stable")]:
        while sizes[group] < min_group_size:
            spare = np.isfinite(distance[:, group]) & (sizes[fed] > min_group_size) & (fed != group)
            if not spare.any():
                return None
            loss = np.where(spare, distance[:, group] - distance[people, fed], np.inf)
            person = int(loss.argmin())
            sizes[fed[person]] -= 1
            sizes[group] += 1
            fed[person] = group
    return fed


def entropy_bits(assigned: NDArray[np.int64]) -> float:
    """Entropy of the pattern of a random person of the file, bits."""
    share = np.bincount(assigned) / max(len(assigned), 1)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) + 0.0
