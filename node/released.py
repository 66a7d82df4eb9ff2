"""An institution's released files read back, each record beside the person it is of. For the institution itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import NodeCard
from afml.core.errors import InputError
from afml.core.files import read_secret, require_file
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.release.files import RELEASE_FILES
from node.workspace import Workspace

_AS_RELEASED = "put the files back as `afml mask` wrote them"


@dataclass(frozen=True, eq=False)
class Records:
    """A release.

    Attributes:
        released: The records as they lie in the files, int8 [people of the file, sites].
        people: Whose each is.
        rows: Their rows in the store; -1 for who is not there any more, int64 [people of the file].
    """

    released: NDArray[np.int8]
    people: tuple[str, ...]
    rows: NDArray[np.int64]


def read_records(work: Workspace, run: str) -> Records:
    """The released files of a run.

    Raises:
        InputError: There are none, or they are not those that the institution's own table belongs to.
    """
    folder, store = work.release(run), GenotypeStore.open(GenotypeFiles(work.data).cohort_store)
    panel = SitePanel.load(GenotypeFiles(work.data).site_panel)
    plan = require_file(folder / "plan.json", "plan of the release", "run `afml mask` again")
    masked = 0 if json.loads(plan.read_text())["fill"] == "major" else -1
    released = RELEASE_FILES.get(NodeCard.load(work.card).data.kind).read(folder, panel, masked)
    table = require_file(work.columns(run), "table of whose record is which", _AS_RELEASED)
    people = _names(json.loads(read_secret(table)), store.samples)
    if len(people) != len(released):
        raise InputError("is not the file that the table of its columns belongs to", where=folder, cure=_AS_RELEASED)
    place = {name: row for row, name in enumerate(store.samples)}
    return Records(released, people, np.array([place.get(name, -1) for name in people], dtype=np.int64))


def read_aligned(work: Workspace, run: str) -> NDArray[np.int8]:
    """The released files of a run, rows in store order, int8 [people, sites].

    Raises:
        InputError: As `read_records`; or they are not of just the people who are in the store.
    """
    found = read_records(work, run)
    everybody = len(GenotypeStore.open(GenotypeFiles(work.data).cohort_store))
    if len(found.rows) != everybody or (found.rows < 0).any():
        raise InputError(
            "is not of just the people who are in the work folder",
            where=work.release(run),
            cure="attack it with `afml reassess`",
        )
    aligned = np.empty_like(found.released)
    aligned[found.rows] = found.released
    return aligned


def _names(columns: list[str | int], samples: list[str]) -> tuple[str, ...]:
    """Whose each column is; tables were once of rows, which are those of a folder that nobody has prepared since."""
    if all(isinstance(one, int) and one < len(samples) for one in columns):
        return tuple(samples[int(one)] for one in columns)
    return tuple(map(str, columns))
