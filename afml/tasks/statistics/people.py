"""The people of an institution as a statistics run reads them: a few at a time, from disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.data.prepared import Prepared
from afml.data.schema import FARTHEST_SPREADS, Schema, SchemaColumn
from afml.data.source import FeatureSource, open_source
from afml.genomics.files import GenotypeFiles
from afml.genomics.store import GenotypeStore, people_at_once
from afml.tasks.statistics.columns import Cells
from afml.tasks.statistics.settings import ColumnSettings, StatisticsSettings


class Read(NamedTuple):
    """What is read of some people.

    Attributes:
        cells: Column -> a number for every row, see `afml.tasks.statistics.columns.Cells`.
        rows: How many rows each person has, [people].
        dosage: int8 [people, S]; no column where the data are no genotypes.
    """

    cells: Cells
    rows: NDArray[np.int64]
    dosage: NDArray[np.int8]


class StatisticsPeople(Protocol):
    """People of a statistics run; see `afml.training.task.Enrolled`."""

    def __len__(self) -> int:
        """How many people."""
        ...

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        ...

    def read(self, people: NDArray[np.int64]) -> Read:
        """Some of the people, [people]."""
        ...


class GenotypePeople:
    """People with genotypes, and the columns of their table.

    Args:
        store: Of the institution.
        places: Rows of the store, ascending, [people].
        columns: Names of the columns that are released.
        values: Of these columns, NaN where there is none, [people, columns].
    """

    def __init__(
        self, store: GenotypeStore, places: NDArray[np.int64], columns: tuple[str, ...], values: NDArray[np.float64]
    ) -> None:
        self._store, self._places, self._columns, self._values = store, places, columns, values
        self._held, self._first = np.zeros((0, len(store.panel)), np.int8), 0

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"GenotypePeople({len(self)} people)"

    def digest(self) -> str:
        """Over genotypes and columns."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self._store.panel.digest()} {self._columns}".encode())
        digest.update(self._places.astype("<i8").tobytes() + self._values.astype("<f8").tobytes())
        for part in people_at_once(self._store):
            own = self._places[(self._places >= part.start) & (self._places < part.stop)]
            digest.update(self._store.dosage(own).tobytes())
        return digest.hexdigest()

    def read(self, people: NDArray[np.int64]) -> Read:
        """See `StatisticsPeople.read`."""
        cells = {name: self._values[people, index] for index, name in enumerate(self._columns)}
        return Read(cells, np.ones(len(people), np.int64), self._dosage(self._places[people]))

    def _dosage(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Rows of the store. Micro-batches are smaller than the store's chunks: what was read last is kept."""
        first, last = (int(rows.min()), int(rows.max())) if len(rows) else (0, -1)
        if not (self._first <= first and last < self._first + len(self._held)):
            part = next((one for one in people_at_once(self._store) if one.start <= first and last < one.stop), None)
            if part is None:  # over the edge of two parts
                return self._store.dosage(rows)
            self._held, self._first = self._store.dosage(part), part.start
        return self._held[rows - self._first]


@dataclass(frozen=True, eq=False)
class RowPeople:
    """People with rows of a table, or a table beside an array or images.

    Attributes:
        source: Of the institution.
        places: Places of the people in the source, [people].
        columns: What is released.
    """

    source: FeatureSource
    places: NDArray[np.int64]
    columns: tuple[ColumnSettings, ...]

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"RowPeople({len(self)} people)"

    def digest(self) -> str:
        """Over all that is stored of them."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.source.digest().encode() + self.places.astype("<i8").tobytes()).hexdigest()

    def read(self, people: NDArray[np.int64]) -> Read:
        """See `StatisticsPeople.read`."""
        places = self.places[people]
        rows = self.source.rows_of(places)
        cells = {column.name: stored_column(self.source, column.name, rows) for column in self.columns}
        return Read(cells, self.source.row_counts[places], np.zeros((len(people), 0), np.int8))


def genotype_people(settings: StatisticsSettings, prepared: Prepared) -> GenotypePeople:
    """The people of an institution with genotypes.

    Raises:
        InputError: A column is not there, is no number for somebody although it has to be, or is not binary.
    """
    files, table = GenotypeFiles(prepared.folder), prepared.people.columns
    places = prepared.enrolled
    for column in settings.columns:
        if column.name not in table.names:
            problem = f"has no column '{column.name}', which the run declares"
            cure = "add it to the phenotype table and run `afml prepare` again"
            raise InputError(problem, where=prepared.table, cure=cure)
        values = table.values[places, table.names.index(column.name)]
        unknown = int(np.isnan(values).sum())
        if unknown and not column.missing:
            problem = f"column '{column.name}' holds no number for {unknown} of {len(values)} people"
            cure = "complete it and run `afml prepare` again, or have the run say `missing = true` of this column"
            raise InputError(problem, where=prepared.table, cure=cure)
        odd = int((~np.isnan(values) & ~np.isin(values, (0, 1))).sum()) if column.kind == "binary" else 0
        if odd:
            problem = f"column '{column.name}' is neither 0 nor 1 for {odd} of {len(values)} people"
            raise InputError(problem, where=prepared.table, cure="mend it and run `afml prepare` again")
    names = tuple(column.name for column in settings.columns)
    wanted = [table.names.index(name) for name in names]
    return GenotypePeople(GenotypeStore.open(files.cohort_store), places, names, table.values[places][:, wanted])


def row_people(settings: StatisticsSettings, prepared: Prepared) -> RowPeople:
    """The people of an institution with a table."""
    return RowPeople(open_source(prepared.folder), prepared.enrolled, settings.columns)


def require_columns(settings: StatisticsSettings, schema: Schema, where: Path) -> None:
    """Refuse a run whose columns are not those that the institutions agreed on.

    Raises:
        ConfigError: One line.
    """
    known = {column.name: column for column in schema.columns}
    for column in settings.columns:
        stored, problem = known.get(column.name), ""
        if stored is None:
            problem = f"has no column '{column.name}', which the run declares"
        elif stored.kind != column.kind:
            problem = f"says that column '{column.name}' is {stored.kind}, the run says {column.kind}"
        elif stored.categories != column.categories:
            problem = f"lists other categories of column '{column.name}' than the run"
        elif stored.missing == "indicator" and not column.missing:
            problem = f"lets column '{column.name}' be empty, and the run does not count who has no value"
        if problem:
            cure = "have the coordinator write the columns of the schema into --settings and configure the run again"
            raise ConfigError(problem, where=where, cure=cure)


def stored_column(source: FeatureSource, name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """One column of some rows in its own unit, NaN where the cell was empty and that is known, [rows].

    Args:
        source: Features on their declared scales; a category is one feature for each of its words.
        name: Of the column.
        rows: Row numbers.
    """
    schema = source.schema
    if name in schema.targets:
        values = np.asarray(source.targets[rows, schema.targets.index(name)], np.float64)
        column = schema.target_columns[schema.targets.index(name)]
        return _unscaled(values, column) if column.kind == "number" else values
    first = 0
    for column in schema.feature_columns:
        if column.name == name:
            break
        first += len(column.features)
    wide = np.asarray(source.features[rows, first : first + len(column.features)], np.float64)
    values = wide[:, : len(column.categories)].argmax(axis=1) if column.kind == "category" else wide[:, 0]
    if column.kind == "number":
        values = _unscaled(values, column)
    return np.where(wide[:, -1] > 0.5, np.nan, values) if column.missing == "indicator" else values.astype(np.float64)


def _unscaled(values: NDArray[np.float64], column: SchemaColumn) -> NDArray[np.float64]:
    """Back from the declared scale; what was pulled in to its range stays there."""
    if column.low is not None and column.high is not None:
        return column.low + values * (column.high - column.low)
    return (column.centre or 0.0) + np.clip(values, -FARTHEST_SPREADS, FARTHEST_SPREADS) * (column.spread or 1.0)
