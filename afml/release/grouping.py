"""Groups: in one released file, every pattern that occurs is shared by at least k people.

A recipient knows which institution a file came from, so the file is what counts. If every pattern is
shared by k people of the file, then whatever an attacker knows, picking the right person of the file has
expected success at most (patterns in the file) / (people in the file) <= 1 / k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ReleaseError
from afml.release.choices import Choices
from afml.release.patterns import Codebook


@dataclass(frozen=True, eq=False)
class Blocks:
    """Who may be told apart in a file: earlier releases told people apart already (docs/design/nested-releases.md).

    Attributes:
        block: Of each person; -1: left out of the file, [people].
        least: People that a pattern needs in each block where anybody in it takes it, at least k each.
        alike: Number of what is told of each person beside the record, [people]; None: nothing. A group is then of
            people who share it too (`beside`).
    """

    block: NDArray[np.int64]
    least: Sequence[int]
    alike: NDArray[np.int64] | None = None


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
    return grouped(codebook.choices(contained, score), min_group_size)


def grouped(choices: Choices, min_group_size: int) -> NDArray[np.int64]:
    """Assign a pattern to everybody in a file so that each one in use has at least `min_group_size` people.

    Groups that are too small are *fed* with the people who contain the pattern, lose least by it and come
    from groups that can spare them; or the smallest is *closed* and its people move to the next pattern they
    contain, down to the empty one. Whichever distorts the scores less is done.

    Args:
        choices: The people and the patterns; the first pattern is empty and everybody's.
        min_group_size: k, at least 1.

    Returns:
        Pattern index per person, [people].

    Raises:
        ReleaseError: The file has fewer than k people.
    """
    people = len(choices)
    if people < min_group_size:
        raise ReleaseError(
            f"{people} people cannot form a group of {min_group_size}",
            cure="release more people together or lower min_group_size",
        )
    assigned, distance = choices.nearest()
    closed, least = np.zeros(len(choices.centroids), dtype=np.bool_), _LeastLoss(choices, min_group_size)
    while True:
        sizes = np.bincount(assigned, minlength=len(closed))
        small = np.flatnonzero((sizes > 0) & (sizes < min_group_size))
        if not len(small):
            return assigned
        # Close the smallest group in use that is not the empty pattern; ties: the later, weaker pattern.
        closable = np.flatnonzero(sizes[1:]) + 1
        smallest = closable[np.lexsort((-closable, sizes[closable]))[0]]
        closed[smallest] = True
        members = np.flatnonzero(assigned == smallest)
        moved, further = choices.of(members).nearest(closed)
        most = float((further - distance[members]).sum())
        if least.of(small, assigned, distance) <= most * (1 + 1e-9):
            fed = _feed(choices, assigned, distance, min_group_size, most)
            if fed is not None:
                return fed
        assigned[members], distance[members] = moved, further
        least.moved(members, distance)


def nested(choices: Choices, blocks: Blocks) -> NDArray[np.int64]:
    """`grouped` block by block: every pattern is taken by enough people of each block in which anybody takes it.

    Args:
        choices: Everybody, and the patterns; the first pattern is empty and everybody's.
        blocks: Whom earlier releases left together.

    Returns:
        Pattern index per person, -1 for those who are left out, [people].

    Raises:
        ReleaseError: Everybody is left out.
    """
    assigned = np.full(len(choices), -1, np.int64)
    if not len(blocks.least):
        raise ReleaseError(
            "earlier releases leave nobody who can be released once more",
            cure="lower `afml mask --min-group-size`, or release other people",
        )
    if blocks.alike is not None:
        there = np.flatnonzero(blocks.block >= 0)
        block, least_of = blocks.block[there], np.array(blocks.least, dtype=np.int64)
        assigned[there] = beside(
            choices.of(there), block * (blocks.alike.max() + 1) + blocks.alike[there], least_of[block]
        )
        return assigned
    order = np.argsort(blocks.block, kind="stable")
    ends = np.searchsorted(blocks.block[order], np.arange(len(blocks.least) + 1))
    for start, end, least in zip(ends[:-1], ends[1:], blocks.least, strict=True):
        rows = order[start:end]
        assigned[rows] = grouped(choices.of(rows), least)
    return assigned


def beside(choices: Choices, alike: NDArray[np.int64], least: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign patterns so that enough people share a pattern *and* what else is told of them.

    Everybody takes the nearest open pattern, whatever is told of the person: a pattern that depended on a trait would
    tell it, and who learns from the file would learn that. Patterns are closed, for all, until no group is too small.

    Args:
        choices: The people and the patterns; the first pattern is empty and everybody's.
        alike: Number of what else is told of each person, [people].
        least: People that a group needs who are told the same as this one, [people].

    Returns:
        Pattern index per person, [people].

    Raises:
        ReleaseError: Too few people are alike, whatever they show.
    """
    _, first, told, everybody = np.unique(alike, return_index=True, return_inverse=True, return_counts=True)
    needed, told = least[first], told.reshape(-1)
    if few := int((everybody < needed).sum()):
        raise ReleaseError(
            f"{few} of {len(everybody)} combinations of what else is told of people are of fewer than {needed.max()}",
            where="released traits",
            cure="give fewer `afml mask --phenotype`, or a number in fewer bins (--phenotype NAME=EDGE)",
        )
    closed, (assigned, _) = np.zeros(len(choices.centroids), dtype=np.bool_), choices.nearest()
    sizes = np.zeros((len(closed), len(everybody)), dtype=np.int64)
    np.add.at(sizes, (assigned, told), 1)
    while ((sizes > 0) & (sizes < needed)).any():
        # The pattern with the smallest group goes, and its people to their next one, the empty one at last.
        smallest = np.where(sizes > 0, sizes, len(told) + 1).min(axis=1)[1:]
        gone = 1 + int(np.flatnonzero(smallest == smallest.min())[-1])
        closed[gone] = True
        members = np.flatnonzero(assigned == gone)
        assigned[members], _ = choices.of(members).nearest(closed)
        sizes[gone] = 0
        np.add.at(sizes, (assigned[members], told[members]), 1)
    return assigned


class _LeastLoss:
    """What filling small groups to k would distort at least: most attempts need not be made.

    Args:
        choices: The people and the patterns.
        min_group_size: k.
    """

    def __init__(self, choices: Choices, min_group_size: int) -> None:
        self._choices, self._size = choices, min_group_size
        self._losses: dict[int, NDArray[np.float64]] = {}  # the k smallest of everybody who is not in the group

    def of(self, small: NDArray[np.int64], assigned: NDArray[np.int64], distance: NDArray[np.float64]) -> float:
        """The least sum of squared distances that it adds, as if everybody could be spared, and for every group.

        Args:
            small: The groups.
            assigned: Pattern of each, [people].
            distance: To its centroid, [people].
        """
        total = 0.0
        sizes = np.bincount(assigned, minlength=int(small.max()) + 1)
        for group in small.tolist():
            if group not in self._losses:
                loss = np.where(assigned == group, np.inf, self._choices.to(group) - distance)
                self._losses[group] = np.sort(np.partition(loss, min(self._size, len(loss)) - 1)[: self._size])
            total += float(self._losses[group][: self._size - sizes[group]].sum())
        return total

    def moved(self, members: NDArray[np.int64], distance: NDArray[np.float64]) -> None:
        """Those who were moved are further from their pattern than before, and lose less by another one."""
        some = self._choices.of(members)
        for group, known in self._losses.items():
            self._losses[group] = np.sort(np.concatenate([known, some.to(group) - distance[members]]))[: self._size]


def _feed(
    choices: Choices, assigned: NDArray[np.int64], distance: NDArray[np.float64], min_group_size: int, most: float
) -> NDArray[np.int64] | None:
    """Fill every small group to k, the fullest first.

    Nobody who was moved is moved again: the own group has just k people then. So what is lost only grows, and groups
    that can spare nobody never can again.

    Args:
        choices: The people and the patterns.
        assigned: Pattern of each, [people].
        distance: To its centroid, [people].
        min_group_size: k.
        most: What all this may distort, as the sum of squared distances.

    Returns:
        Pattern index per person; None where there are not enough people to spare, or too much would be lost.
    """
    fed, lost = assigned.copy(), 0.0
    sizes = np.bincount(assigned, minlength=len(choices.centroids))
    small = np.flatnonzero((sizes > 0) & (sizes < min_group_size))
    for group in small[np.argsort(-sizes[small], kind="stable")]:
        loss = np.where(sizes[fed] > min_group_size, choices.to(int(group)) - distance, np.inf)
        willing = np.flatnonzero(loss <= most - lost)
        for person in willing[np.argsort(loss[willing], kind="stable")]:
            if sizes[group] == min_group_size:
                break
            if sizes[fed[person]] <= min_group_size:
                continue
            lost += float(loss[person])
            sizes[fed[person]] -= 1
            sizes[group] += 1
            fed[person] = group
        if sizes[group] < min_group_size or lost > most:
            return None
    return fed


def entropy_bits(assigned: NDArray[np.int64]) -> float:
    """Entropy of the pattern of a random person of the file, bits."""
    share = np.bincount(assigned) / max(len(assigned), 1)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) + 0.0
