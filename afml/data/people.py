"""The people of an institution: who they are, the columns of numbers known of them, and who is enrolled in training."""

from __future__ import annotations

import csv
import math
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file, staged_file


@dataclass(frozen=True)
class PersonColumns:
    """Named columns of numbers, one row a person.

    Attributes:
        names: Of the columns, all different.
        values: float64 [people, columns]; NaN where a cell holds no finite number.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"PersonColumns({len(self.values)} people, {len(self.names)} columns)"

    def column(self, name: str, *, where: Path) -> NDArray[np.float64]:
        """One column, complete, [people].

        Args:
            name: Its name.
            where: The file to blame.

        Raises:
            InputError: There is no such column, or not everybody has a number in it.
        """
        if name not in self.names:
            raise InputError(
                f"has no column '{name}', which the run declares",
                where=where,
                cure="add it to the phenotype table and run `afml prepare` again",
            )
        values = self.values[:, self.names.index(name)]
        unknown = int(np.isnan(values).sum())
        if unknown:
            raise InputError(
                f"column '{name}' holds no number for {unknown} of {len(values)} people",
                where=where,
                cure="complete it, or leave these people out of the VCF, and run `afml prepare` again",
            )
        return values


@dataclass(frozen=True)
class PeopleTable:
    """The people of one institution in store order.

    Attributes:
        samples: Their names.
        columns: Every column of the phenotype table, rows in the same order.
        enrolled: bool [people], False for those held out for evaluation.
    """

    samples: tuple[str, ...]
    columns: PersonColumns
    enrolled: NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write people.tsv, readable by its owner only."""
        with staged_file(path) as staged:
            staged.touch(mode=0o600)
            with staged.open("w", newline="", encoding="utf-8") as out:
                writer = csv.writer(out, delimiter="\t", lineterminator="\n")
                writer.writerow(["sample", *self.columns.names, "role"])
                rows = zip(self.samples, self.columns.values.tolist(), self.enrolled, strict=True)
                for sample, values, train in rows:
                    writer.writerow([sample, *map(format_number, values), "train" if train else "holdout"])

    @classmethod
    def load(cls, path: Path) -> PeopleTable:
        """Read people.tsv."""
        with require_file(path, "people table").open(newline="", encoding="utf-8") as source:
            reader = csv.DictReader(source, delimiter="\t")
            names = tuple(name for name in reader.fieldnames or () if name not in ("sample", "role"))
            samples, values, train = [], array("d"), array("b")
            for row in reader:
                samples.append(row["sample"])
                values.extend(parse_number(row[name]) for name in names)
                train.append(row["role"] == "train")
        columns = np.array(values, dtype=np.float64).reshape(len(samples), len(names))
        return cls(tuple(samples), PersonColumns(names, columns), np.array(train, dtype=np.bool_))

    def rows(self, people: NDArray[np.int64]) -> PeopleTable:
        """Some of the people."""
        columns = PersonColumns(self.columns.names, self.columns.values[people])
        return PeopleTable(tuple(self.samples[person] for person in people), columns, self.enrolled[people])


def parse_number(cell: str) -> float:
    """A finite number; NaN for anything else."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def format_number(value: float) -> str:
    """The shortest text that reads back to the same float64; `NA` for NaN."""
    return "NA" if math.isnan(value) else str(int(value)) if value == int(value) else repr(float(value))
