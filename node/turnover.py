"""Whether a work folder that is prepared again still holds the people whom runs enrolled from it."""

from __future__ import annotations

import csv
from collections.abc import Collection
from typing import NamedTuple, Self

from afml.core.errors import InputError
from afml.ledger.schema import begun
from afml.ledger.snapshot import snapshot
from node.memory import runs_of
from node.workspace import Workspace

#: Share of the people of before below which those who come are another cohort, and no later state of the same.
_SAME = 0.5


class Turnover(NamedTuple):
    """How the people of a folder change, by name.

    Attributes:
        before: People whom it held.
        stay: Of these, people whom it goes on to hold.
        come: People whom it did not hold.
    """

    before: int
    stay: int
    come: int

    @classmethod
    def of(cls, before: Collection[str], after: Collection[str]) -> Self:
        """From the names of before to those of now."""
        old, new = set(before), set(after)
        return cls(len(old), len(old & new), len(new - old))

    @property
    def line(self) -> str:
        """In words, for whoever prepares; "" where nobody has come or gone, or nobody was there."""
        if not self.before or (self.stay == self.before and not self.come):
            return ""
        others = {0: "nobody else has", 1: "1 other has"}.get(self.come, f"{self.come} others have")
        return f"of {self.before} people whom this folder held {self.stay} stay, and {others} come"


def people_of(work: Workspace) -> tuple[str, ...]:
    """Names of the people whom a folder holds, as far as its table can be read: none where it was not prepared."""
    if not work.people.is_file():
        return ()
    with work.people.open(newline="", encoding="utf-8", errors="replace") as table:
        rows = csv.reader(table, delimiter="\t")
        next(rows, None)
        return tuple(row[0] for row in rows if row)


def require_same(work: Workspace, samples: Collection[str]) -> None:
    """Refuse other people in a folder from which people have taken part in runs.

    Their keys, models and releases are there. Who comes back under another name is recognised by the record when a node
    takes part, where records tell; that is not known here.

    Args:
        work: The folder, as it was.
        samples: Names of the people who would be in it.

    Raises:
        InputError: Fewer than half of the people of before are among them.
    """
    found = Turnover.of(people_of(work), samples)
    if found.stay >= _SAME * found.before or not _took_part(work):
        return
    raise InputError(
        f"these are other people: of {found.before} who were here when runs enrolled them {found.stay} are among them",
        where=work.root,
        cure="prepare another cohort in a --work of its own, or give --force if the same are called otherwise now",
    )


def _took_part(work: Workspace) -> bool:
    """Whether a run has enrolled people from a folder, by what lies in it or in the ledger there."""
    if runs_of(work):
        return True
    if not begun(work.ledger):
        return False
    with snapshot(work.ledger) as database:
        return bool(database.execute("SELECT EXISTS (SELECT 1 FROM enrolments)").fetchone()[0])
