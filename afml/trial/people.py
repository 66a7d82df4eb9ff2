"""The people of released files: each institution's, raw and released, with what the files tell beside the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.data.people import PeopleTable
from afml.evaluation.inputs import Institution
from afml.genomics.files import GenotypeFiles
from afml.genomics.released import release_files
from afml.genomics.store import GenotypeStore
from afml.masking.enrolled import select
from afml.masking.settings import RiskSettings
from afml.release.stored import Records
from node.released import read_records
from node.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Pooled:
    """Everybody in released files.

    Attributes:
        institutions: Theirs, in node order; what each has are rows of one array, raw and released.
        tables: Names, columns and roles of the same people.
    """

    institutions: tuple[Institution, ...]
    tables: tuple[PeopleTable, ...]


def people_of(run: str, spaces: Sequence[Workspace], risk: RiskSettings, *, own: bool) -> Pooled:
    """Everybody in the newest release of each work folder, held once.

    Args:
        run: Name of the run.
        spaces: Work folders.
        risk: Which traits and covariates the run declares.
        own: Of a file that leaves people out, as a nested one may, those who are in it. In a trial of several
            institutions everybody is in a file.

    Raises:
        InputError: A folder is not prepared or holds no release, or people of a file are not there any more.
    """
    for space in spaces:
        space.require_prepared()
        release_files(space.release(run))
    stores = [GenotypeStore.open(GenotypeFiles(space.data).cohort_store) for space in spaces]
    records = [_records(space, run, len(store), own) for space, store in zip(spaces, stores, strict=True)]
    orders = [np.argsort(one.rows) for one in records]  # in store order, as the tables are
    ends = np.cumsum([len(order) for order in orders])
    dosage = np.empty((int(ends[-1]), len(stores[0].panel)), dtype=np.int8)
    released = np.empty_like(dosage)
    parts = [slice(int(end) - len(order), int(end)) for end, order in zip(ends, orders, strict=True)]
    for store, one, order, part in zip(stores, records, orders, parts, strict=True):
        everybody = store.dosage()
        dosage[part] = everybody if len(everybody) == len(order) else everybody[one.rows[order]]
        released[part] = one.released[order]
    words = [word for one, order in zip(records, orders, strict=True) for word in np.array(one.traits)[order]]
    told = np.unique(words, return_inverse=True)[1].reshape(-1) if any(words) else None
    tables = tuple(
        PeopleTable.load(space.people).rows(one.rows[order])
        for space, one, order in zip(spaces, records, orders, strict=True)
    )
    return Pooled(
        tuple(
            replace(
                _institution(space, risk, table, (dosage[part], released[part])),
                told=None if told is None else told[part].astype(np.int64),
            )
            for space, table, part in zip(spaces, tables, parts, strict=True)
        ),
        tables,
    )


def _records(space: Workspace, run: str, people: int, own: bool) -> Records:
    found = read_records(space, run)
    if (found.rows < 0).any() or not (own or len(found.rows) == people):
        raise InputError(
            "is not of just the people who are in the work folder",
            where=space.release(run),
            cure="attack it with `afml reassess`",
        )
    return found


def _institution(
    space: Workspace, risk: RiskSettings, people: PeopleTable, records: tuple[NDArray[np.int8], NDArray[np.int8]]
) -> Institution:
    dosage, released = records
    everybody = select(dosage, lambda name: people.columns.column(name, where=space.people), risk, where=space.people)
    targets = everybody.phenotype.reshape(len(dosage), -1)
    targets = targets[:, : len(risk.diseases)]  # classes of attributes, learned against the rest, come after them
    number = np.array([trait.kind == "quantitative" for trait in risk.diseases], dtype=np.bool_)
    return Institution(
        dosage, targets[:, ~number].astype(np.int8), people.enrolled, released,
        traits=targets[:, number].astype(np.float64) if number.any() else None,
        covariates=None if everybody.covariates is None else everybody.covariates.astype(np.float64),
    )  # fmt: skip
