"""What tells a record again under another name: marks, which the ledger keys and keeps (docs/design/ledger.md).

Two records with a mark in common are taken to be of one person, whatever names they stand under. A mark never leaves
the institution, and the ledger stores it under a key that stays there as well.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from afml.data.source import open_source, row_blocks

#: Share of people with a record of their own below which equal records say nothing about who is who.
TELLING = 0.99


def row_marks(folder: Path) -> list[tuple[bytes, ...]]:
    """One mark of everybody in a feature source: all features of the person's rows, exactly, in any order.

    A table of few small columns holds equal rows of different people; where fewer than 99 % of the people have a
    record of their own there are no marks, and renamed people cannot be recognised.

    Args:
        folder: Of a prepared institution.

    Returns:
        Marks by person, in stored order; none or one each.
    """
    whole = _records(folder)
    times = Counter(whole)
    if sum(times[mark] == 1 for mark in whole) < TELLING * len(whole):
        return [()] * len(whole)
    return [(mark,) for mark in whole]


def alike(folder: Path) -> int:
    """How many people have exactly the rows of somebody else."""
    times = Counter(_records(folder))
    return sum(count for count in times.values() if count > 1)


def _records(folder: Path) -> list[bytes]:
    """Digest of everybody's rows in any order, and of what they mean."""
    source = open_source(folder)
    rows = [hashlib.sha256(row.tobytes()).digest() for block in row_blocks(source.features) for row in block]
    own: list[list[bytes]] = [[] for _ in range(len(source.row_counts))]
    for person, digest in zip(source.owner.tolist(), rows, strict=True):
        own[person].append(digest)
    schema = source.schema.digest()
    return [hashlib.sha256(b"rows" + schema + b"".join(sorted(digests))).digest() for digests in own]
