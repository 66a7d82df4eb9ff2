"""A release as it lies at the institution that made it: the plan, and each record beside the person it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.core.files import read_secret, require_file
from afml.data.prepared import Prepared
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.release.files import RELEASE_FILES
from afml.release.model import ScoredModel
from afml.release.package.traits import PHENOTYPES_FILE
from afml.release.plan import ReleasePlan
from afml.release.versions import PLAN_FILE, Version, Versions

_AS_RELEASED = "put the files back as `afml mask` wrote them"


@dataclass(frozen=True, eq=False)
class Records:
    """What was released.

    Attributes:
        released: The records as they lie in the files, int8 [people of the file, sites].
        people: Whose each is.
        rows: Their rows in the store; -1 for who is not there any more, int64 [people of the file].
        traits: What phenotypes.tsv tells of each beside the record, in words; "" where there is none.
    """

    released: NDArray[np.int8]
    people: tuple[str, ...]
    rows: NDArray[np.int64]
    traits: tuple[str, ...] = ()

    def numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which record of the file is whose, int64 [people]; -1 for who has none in it.

        Args:
            rows: Theirs in the store, [people].
        """
        there = np.flatnonzero(self.rows >= 0)
        number = np.full(max(self.rows.max(initial=-1), rows.max(initial=-1)) + 1, -1, dtype=np.int64)
        number[self.rows[there]] = there
        return number[rows]


@dataclass(frozen=True)
class StoredRelease:
    """Where the parts of one release are.

    Attributes:
        folder: Of the released files and the plan.
        columns: Says whose each released column is; never leaves the institution.
        data: What the data kind stored.
        kind: Of the data.
    """

    folder: Path
    columns: Path
    data: Path
    kind: str

    @classmethod
    def of(cls, prepared: Prepared, run: str, version: Version | None = None) -> Self:
        """The release of a run, of an institution's prepared people.

        Args:
            prepared: The institution's data.
            run: Name of the run.
            version: Which one; by default the newest.

        Raises:
            ConfigError: These people's data are not in a work folder, where releases are kept.
        """
        if prepared.releases is None or prepared.columns is None:
            raise ConfigError("are not in a work folder, so no release is kept", where=prepared.folder)
        one = version or Versions(prepared.releases, prepared.columns, run).newest()
        return cls(one.folder, one.columns, prepared.folder, prepared.data.kind)

    def plan(self, model: ScoredModel) -> ReleasePlan:
        """The plan that the files were made by.

        Raises:
            InputError: There is no release.
            ConfigError: It was made by another model.
        """
        return ReleasePlan.from_dict(model, self._stored())

    def records(self) -> Records:
        """The released files, for the institution itself.

        Raises:
            InputError: There are none, or they are not those that the institution's own table belongs to.
        """
        store, panel = self._store(), SitePanel.load(GenotypeFiles(self.data).site_panel)
        masked = 0 if self._stored()["fill"] == "major" else -1
        released = RELEASE_FILES.get(self.kind).read(self.folder, panel, masked)
        table = require_file(self.columns, "table of whose record is which", _AS_RELEASED)
        people = _names(json.loads(read_secret(table)), store.samples)
        if len(people) != len(released):
            raise InputError(
                "is not the file that the table of its columns belongs to", where=self.folder, cure=_AS_RELEASED
            )
        place = {name: row for row, name in enumerate(store.samples)}
        rows = np.array([place.get(name, -1) for name in people], dtype=np.int64)
        return Records(released, people, rows, self._traits(len(people)))

    def aligned(self) -> NDArray[np.int8]:
        """The released files, rows in store order, int8 [people, sites].

        Raises:
            InputError: As `records`; or they are not of just the people who are in the store.
        """
        found, everybody = self.records(), len(self._store())
        if len(found.rows) != everybody or (found.rows < 0).any():
            raise InputError(
                "is not of just the people who are in the work folder",
                where=self.folder,
                cure="attack it with `afml reassess`",
            )
        aligned = np.empty_like(found.released)
        aligned[found.rows] = found.released
        return aligned

    def _traits(self, people: int) -> tuple[str, ...]:
        path = self.folder / PHENOTYPES_FILE
        if not path.is_file():
            return ("",) * people
        told = tuple(line.partition("\t")[2] for line in path.read_text(encoding="utf-8").splitlines()[1:])
        if len(told) != people:
            raise InputError("does not tell of just the people of the file", where=path, cure=_AS_RELEASED)
        return told

    def _store(self) -> GenotypeStore:
        return GenotypeStore.open(GenotypeFiles(self.data).cohort_store)

    def _stored(self) -> dict[str, Any]:
        path = require_file(self.folder / PLAN_FILE, "plan of the release", "run `afml mask` first")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def _names(columns: list[str | int], samples: list[str]) -> tuple[str, ...]:
    """Whose each column is; tables were once of rows, which are those of a folder that nobody has prepared since."""
    if all(isinstance(one, int) and one < len(samples) for one in columns):
        return tuple(samples[int(one)] for one in columns)
    return tuple(map(str, columns))
