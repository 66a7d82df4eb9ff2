"""The people of an institution as its file lists them: by names that change, and some of them twice.

Who is who is the product's to find out, from genotypes, as `afml prepare` does it; the truth stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.persons import Choice, Duplicates, find_people
from afml.genomics.sites import SitePanel
from tests.genomics.test_kinship import independent
from tests.simulated import simulate_panel

SITES, PANEL = 512, 60
Answer = Literal["fold", "first", "last"]
"""What an operator does who is told that two columns are one person's: folds them, or keeps one of the two."""


@cache
def _public(people: int) -> tuple[SitePanel, NDArray[np.int8]]:
    """The panel, and dosages of it and of some people after it."""
    dosage = independent(PANEL + people, SITES, 0)
    return simulate_panel(dosage), dosage


class _Store(SimpleNamespace):
    """Columns of a file, with as much of `GenotypeStore` as finding people takes."""

    def __len__(self) -> int:
        return len(self.samples)

    def dosage(self, rows: slice) -> NDArray[np.int8]:
        return np.asarray(self.calls[rows])


@dataclass
class Cohort:
    """The columns of an institution's file.

    Attributes:
        people: How many persons there are.
        columns: (name, person), in the order of the file.
        duplicates: What `afml prepare` is told to do about the same record twice.
    """

    people: int
    columns: list[tuple[str, int]] = field(default_factory=list)
    duplicates: Duplicates = "refuse"

    def __post_init__(self) -> None:
        self.columns = [(f"sample-{person}", person) for person in range(self.people)]

    def name(self, person: int) -> str:
        """What the person is called today."""
        return next(name for name, number in self.prepared() if number == person)

    def rename(self, person: int) -> None:
        """All columns of a person get new names."""
        self.columns = [(name + "'" if number == person else name, number) for name, number in self.columns]

    def sample_again(self, person: int, *, before: bool, answer: Answer) -> None:
        """The person is sampled a second time; the operator prepares, and does what the refusal leaves to do.

        Args:
            person: Who.
            before: The new column stands before all others.
            answer: What is done about it.
        """
        column = (f"again-{person}-{len(self.columns)}", person)
        own = [one for one in self.columns if one[1] == person]
        self.columns.insert(0 if before else len(self.columns), column)
        try:
            self.prepared()
        except InputError:
            both = [column, *own] if before else [*own, column]
            if answer == "fold":
                self.duplicates = "fold"
            else:
                keep = both[0 if answer == "first" else -1]
                self.columns = [one for one in self.columns if one[1] != person or one == keep]

    def prepared(self) -> list[tuple[str, int]]:
        """(name, person) of everybody whom `afml prepare` would store.

        Raises:
            InputError: It refuses the file.
        """
        panel, dosage = _public(self.people)
        store: Any = _Store(panel=panel, samples=[name for name, _ in self.columns], calls=self._calls(dosage))
        public: Any = _Store(panel=panel, samples=[f"P{row}" for row in range(PANEL)], calls=dosage[:PANEL])
        choice = Choice({}, self.duplicates, "report", Path("own.vcf.gz"))
        found = find_people(store, public, choice)
        found.require_apart(choice, Path("related.tsv"))
        person_of = dict(self.columns)
        return [(name, person_of[name]) for name in found.columns]

    def _calls(self, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """Each column with 1 % of its calls wrong, in its own way."""
        rows = dosage[[PANEL + person for _, person in self.columns]].copy()
        for place, row in enumerate(rows):
            wrong = np.random.default_rng(place).random(SITES) < 0.01
            row[wrong] = (row[wrong] + 1) % 3
        return rows
