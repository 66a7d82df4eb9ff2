"""An institution's prepared data, as `afml prepare` left them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement, Role
from afml.data.people import PeopleTable


@dataclass(frozen=True)
class Prepared:
    """What a task trains on at one institution.

    Attributes:
        folder: Holds what the data kind stored: `public` what everybody may see, `private` what nobody else may.
        table: People table, to read and to blame.
        data: What was declared of the data.
        role: Whose turn it is: of the people with this role a task is given `enrolled`.
        models: Folders in which the institution keeps saved models.
        releases: Folder in which it keeps its releases, one of the run's name each; None where it keeps none.
        columns: Folder of who is which column of them, a file each; likewise.
        tasks: Kinds of task that a saved model may be of, where these people are shown to it; None for any.
    """

    folder: Path
    table: Path
    data: DataAgreement
    role: Role = "train"
    models: tuple[Path, ...] = ()
    releases: Path | None = None
    columns: Path | None = None
    tasks: tuple[str, ...] | None = None

    @property
    def public(self) -> Path:
        """What is the same at every institution: a panel, a schema."""
        return self.folder / "public"

    @property
    def private(self) -> Path:
        """This institution's people."""
        return self.folder / "private"

    @cached_property
    def people(self) -> PeopleTable:
        """Everybody at the institution, in the order of the stored data."""
        return PeopleTable.load(self.table)

    @property
    def enrolled(self) -> NDArray[np.int64]:
        """Rows of the people whose turn it is, ascending."""
        return np.flatnonzero(self.people.enrolled == (self.role == "train"))

    @property
    def held_out(self) -> Prepared:
        """The same data, and the turn of the people who are kept out of training."""
        return replace(self, role="holdout")
