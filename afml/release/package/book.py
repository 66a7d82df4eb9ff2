"""The codebook table as a package has it, and what it says of every record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CODEBOOK_FILE, SCORES_FILE = "codebook.tsv", "scores.tsv"


@dataclass(frozen=True, eq=False)
class Book:
    """codebook.tsv, read: `afml.release.table` writes it.

    Attributes:
        shows: What each pattern shows, in words, J of them.
        names: Of the scores.
        mean: float64 [J, scores], as written.
        deviation: float64 [J, scores], as written.
    """

    shows: tuple[str, ...]
    names: tuple[str, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def parsed(cls, text: str) -> Book:
        """The table of a text."""
        head, *rows = [line.split("\t") for line in text.splitlines()]
        numbers = np.array([[float(cell) for cell in row[2:]] for row in rows]).reshape(len(rows), -1)
        names = tuple(name.removeprefix("score_") for name in head[2::2])
        return cls(tuple(row[1] for row in rows), names, numbers[:, ::2], numbers[:, 1::2])

    def scores(self, traits: Sequence[str], patterns: NDArray[np.int64]) -> NDArray[np.float64]:
        """What records are said to score for some of the traits, float64 [records, traits]."""
        return self.mean[:, [self.names.index(name) for name in traits]][patterns]

    def table(self, records: Sequence[str], patterns: NDArray[np.int64]) -> str:
        """scores.tsv: pseudonym, pattern and scores of every record, in the order of the file.

        Args:
            records: Pseudonyms.
            patterns: What each of them shows.
        """
        # plink2 takes a blank for the end of a column.
        head = ("#IID", "pattern", *(f"score_{name.replace(' ', '_')}" for name in self.names))
        told = ["\t".join((str(number), *(f"{value:.6g}" for value in row))) for number, row in enumerate(self.mean)]
        lines = (f"{name}\t{told[pattern]}" for name, pattern in zip(records, patterns.tolist(), strict=True))
        return "\n".join(("\t".join(head), *lines)) + "\n"
