"""Releases against earlier releases about the same people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from afml.core.errors import ReleaseError


@dataclass(frozen=True)
class ReleaseRecord:
    """A released file.

    Attributes:
        run: Run that trained the model.
        file_digest: SHA-256 of the released file, hex.
        model_digest: Digest of the model that planned it, hex.
        min_group_size: Fewest people that may share what is told about them.
    """

    run: str
    file_digest: str
    model_digest: str
    min_group_size: int

    def to_json(self) -> dict[str, object]:
        """Fields of the ledger entry that come from the release itself."""
        return {
            "kind": "release",
            "run": self.run,
            "file_digest": self.file_digest,
            "model_digest": self.model_digest,
            "min_group_size": self.min_group_size,
        }

    def require(self, joint: JointGroups) -> None:
        """Refuse a release that makes groups too small.

        Raises:
            ReleaseError: A group has fewer people than were promised to anybody in it.
        """
        if joint.smallest < joint.promised:
            others = len(joint.earlier)
            because = f" together with {others} earlier releases about the same people" if others else ""
            own = joint.promised == self.min_group_size
            promise = "" if own else ", which an earlier release promised some of them"
            raise ReleaseError(
                f"the smallest group{because} has {joint.smallest} people, below {joint.promised}{promise}",
                where=f"release {self.file_digest[:12]}",
                cure="release the same patterns about the same people again, coarser ones, or other people",
            )


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


def joint_groups(
    new: Mapping[bytes, int], k: int, earlier: Mapping[int, Mapping[bytes, int]], promises: Mapping[int, int]
) -> JointGroups:
    """Who can be told from whom by somebody who holds the new release and every earlier one.

    People are one group as long as they agree in every file; being absent from a file is a pattern like any other,
    because its readers see who is not in it. So the people of earlier releases are counted too: a second file that
    leaves one of them out tells that person from all others. A group that the new release does not change was
    judged when it arose, and is left alone.

    Args:
        new: person -> pattern number in the new release.
        k: Group size that it promises.
        earlier: release -> person -> pattern number.
        promises: release -> group size that it promised.
    """
    overlapping = sorted(index for index, people in earlier.items() if not new.keys().isdisjoint(people))
    before: dict[bytes, dict[int, int]] = {person: {} for person in new}
    for index in sorted(earlier):
        for person, pattern in earlier[index].items():
            before.setdefault(person, {})[index] = pattern
    keys = {person: tuple(found.items()) for person, found in before.items()}
    touched = {keys[person] for person in new}
    groups = Counter((keys[person], new.get(person)) for person in before if keys[person] in touched)
    found = []
    for (history, label), people in groups.items():
        promised = max([promises[index] for index, _ in history] + ([] if label is None else [k]))
        found.append((people >= promised, people, promised))  # those that fall short come first
    _, smallest, promised = min(found)
    return JointGroups(smallest, promised, overlapping)
