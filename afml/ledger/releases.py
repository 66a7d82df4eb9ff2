"""Releases against earlier releases about the same people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

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

    def require(self, smallest: int, others: int) -> None:
        """Refuse a release that makes groups too small.

        Raises:
            ReleaseError: `smallest` is below the minimum.
        """
        if smallest < self.min_group_size:
            because = f" together with {others} earlier releases about the same people" if others else ""
            raise ReleaseError(
                f"the smallest group{because} has {smallest} people, below {self.min_group_size}",
                where=f"release {self.file_digest[:12]}",
                cure="release the same patterns again, coarser ones, or other people",
            )


def smallest_joint_group(new: Mapping[bytes, int], earlier: Mapping[bytes, Mapping[int, int]]) -> tuple[int, list[int]]:
    """Size of the smallest set of people who agree in the new and in every earlier release.

    Args:
        new: person -> pattern number in the new release.
        earlier: person -> {release index -> pattern number}; a release without the person is a pattern of
            its own, because a reader of that file sees who is not in it.

    Returns:
        The size, and the earlier releases that share people with the new one.
    """
    others = sorted({index for found in earlier.values() for index in found})
    groups = Counter(
        (pattern, *(earlier.get(person, {}).get(index) for index in others)) for person, pattern in new.items()
    )
    return min(groups.values()), others
