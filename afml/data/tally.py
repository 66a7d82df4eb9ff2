"""What is wrong with a table, counted: how often, in which column, first in which row; never a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Something that may be wrong in a row.

    Attributes:
        says: With `{name}` for the column.
        cure: What to do about it.
    """

    says: str
    cure: str


NO_PERSON = Problem("column '{name}' names nobody", "name the person of every row")
UNPRINTABLE = Problem("column '{name}' names somebody with characters that cannot be printed", "rename them")
EMPTY = Problem("column '{name}' is empty", "complete it, or declare what fills it (missing, fill)")
NO_NUMBER = Problem("column '{name}' holds something else than a number", "correct these cells")
NOT_BINARY = Problem("column '{name}' is neither 0 nor 1", "code it as 0 and 1, or declare it a number or a category")
UNDECLARED = Problem("column '{name}' holds a category that the schema does not list", "correct it, or list it")
NOT_FINITE = Problem("'{name}' holds something else than finite numbers", "correct these items")
NO_FILE = Problem("column '{name}' names no file inside the folder of images", "correct these names")
NO_IMAGE = Problem("column '{name}' names files that cannot be read as images", "restore them")
OTHER_FORM = Problem("column '{name}' names images of another size or mode than the schema says", "convert them")


class Tally:
    """Counts problems over all batches of a table, to be told as one line at its end."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Problem], list[int]] = {}  # [rows with it, the first of them]

    def add(self, name: str, problem: Problem, wrong: NDArray[np.bool_], first_row: int) -> None:
        """Count the rows of a batch that have a problem.

        Args:
            name: The column.
            problem: What is wrong with it.
            wrong: bool [rows].
            first_row: Number of the batch's first row in the table, from 0.
        """
        rows = np.flatnonzero(wrong)
        if len(rows):
            found = self._found.setdefault((name, problem), [0, first_row + int(rows[0])])
            found[0] += len(rows)

    def require_none(self, where: Path, rows: int) -> None:
        """Refuse a table in which a problem was found.

        Args:
            where: The table.
            rows: How many rows it has.

        Raises:
            InputError: One was; the message tells the one that was met first.
        """
        for (name, problem), (count, first) in self._found.items():
            told = f"{problem.says.format(name=name)} in {count} of {rows} rows (the first is row {first + 1})"
            raise InputError(told, where=where, cure=problem.cure)
