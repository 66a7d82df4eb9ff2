"""Joint groups: who can be told from whom by somebody who holds every release of an institution.

People are one group as long as they agree in every file; being absent from a file is a pattern like any other, because
its readers see who is not in it. docs/design/nested-releases.md proves what is promised here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Past = Mapping[int, Mapping[bytes, int]]
"""Release -> person -> pattern number."""

History = tuple[tuple[int, int], ...]
"""(release, pattern) of every file that somebody is in, ascending."""


class JointGroups(NamedTuple):
    """The smallest group that a new release makes; where some are smaller than was promised, the smallest of those.

    Attributes:
        smallest: Its people.
        promised: The largest group size that any release promised to anybody in it.
        earlier: Releases that share people with the new one, ascending.
    """

    smallest: int
    promised: int
    earlier: list[int]


class Nesting(NamedTuple):
    """Whom a next release may tell apart, so that no joint group becomes too small.

    Attributes:
        block: The joint group of each person who was asked about, in that order; -1: left out of the release.
        least: People that a pattern of the release needs in each block, where anybody in it takes it.
    """

    block: tuple[int, ...]
    least: tuple[int, ...]


def joint_groups(new: Mapping[bytes, int], k: int, earlier: Past, promises: Mapping[int, int]) -> JointGroups:
    """The groups that a new release makes together with every earlier one.

    The people of earlier releases are counted too: a second file that leaves one of them out tells that person from all
    others. A group that the new release does not change was judged when it arose, and is left alone.

    Args:
        new: person -> pattern number in the new release.
        k: Group size that it promises.
        earlier: Earlier releases.
        promises: release -> group size that it promised.
    """
    overlapping = sorted(index for index, people in earlier.items() if not new.keys().isdisjoint(people))
    keys = _histories(new, earlier)
    touched = {keys[person] for person in new}
    groups = Counter((history, new.get(person)) for person, history in keys.items() if history in touched)
    found = []
    for (history, label), people in groups.items():
        promised = max(_promised(history, promises), 0 if label is None else k)
        found.append((people >= promised, people, promised))  # those that fall short come first
    _, smallest, promised = min(found)
    return JointGroups(smallest, promised, overlapping)


def standing(index: int, past: Past, promises: Mapping[int, int]) -> JointGroups:
    """The groups in which the people of one release are now, by all releases together.

    Args:
        index: The release.
        past: All releases, that one among them.
        promises: release -> group size that it promised.

    Returns:
        The smallest of them, and the other releases that share people with it.
    """
    own = past[index]
    others = {other: people for other, people in past.items() if other != index}
    return joint_groups(own, promises[index], others, promises)


def nested_in(people: Sequence[bytes], k: int, earlier: Past, promises: Mapping[int, int]) -> Nesting:
    """Whom a release about these people may tell apart.

    A pattern that enough people of one joint group take makes no group that is too small. Where people of a joint group
    are not there any more, being absent is a pattern as well: so many others are left out with them that those who are
    absent are enough. Who is left out follows from the order of keyed ids, which nobody outside knows.

    Args:
        people: Everybody who is there, each once.
        k: Group size that the release will promise.
        earlier: Earlier releases.
        promises: release -> group size that it promised.
    """
    keys = _histories(people, earlier)
    everybody, here = Counter(keys.values()), dict[History, list[bytes]]()
    for person in people:
        here.setdefault(keys[person], []).append(person)
    block, least = dict[bytes, int](), list[int]()
    for history, members in here.items():
        promised = _promised(history, promises)
        absent = everybody[history] - len(members)
        with_them = max(0, promised - absent) if absent else 0
        if len(members) - with_them < max(promised, k):
            continue
        block |= dict.fromkeys(sorted(members)[with_them:], len(least))
        least.append(max(promised, k))
    return Nesting(tuple(block.get(person, -1) for person in people), tuple(least))


def _histories(people: Sequence[bytes] | Mapping[bytes, int], earlier: Past) -> dict[bytes, History]:
    """What was told of these people and of everybody in an earlier release."""
    before: dict[bytes, list[tuple[int, int]]] = {person: [] for person in people}
    for index in sorted(earlier):
        for person, pattern in earlier[index].items():
            before.setdefault(person, []).append((index, pattern))
    return {person: tuple(found) for person, found in before.items()}


def _promised(history: History, promises: Mapping[int, int]) -> int:
    """The largest group size that was promised to whoever has this history."""
    return max((promises[index] for index, _ in history), default=0)
