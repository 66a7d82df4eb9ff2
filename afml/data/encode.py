"""From the cells of a table to numbers on their declared scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.data.people import format_number, parse_number
from afml.data.schema import Scale, Schema, SchemaColumn
from afml.data.tally import EMPTY, NO_NUMBER, NO_PERSON, NOT_BINARY, UNDECLARED, UNPRINTABLE, Tally

#: How tables spell that a cell is empty; a category that the schema lists is never one of them.
MISSING_WORDS = ("", "NA", "NaN", "nan", "null")
_BLANKS = " \t"


class Encoded(NamedTuple):
    """One batch of rows.

    Attributes:
        people: The person of each, [rows].
        features: float32 [rows, features].
        targets: float32 [rows, T].
    """

    people: list[str]
    features: NDArray[np.float32]
    targets: NDArray[np.float32]


class TableEncoder:
    """Encodes the batches of one table, and keeps count of what is wrong and of what was pulled in.

    Args:
        schema: What the columns mean.
        where: The table, to blame.

    Attributes:
        tally: What is wrong with the rows so far.
        rows: How many there were.
        pulled_in: Column -> rows whose number was outside of its declared range, for those that have any.
    """

    def __init__(self, schema: Schema, where: Path) -> None:
        self._schema, self._where = schema, where
        self.tally = Tally()
        self.rows = 0
        self.pulled_in: dict[str, int] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a batch must have."""
        return (*self._schema.keys, *(column.name for column in self._schema.columns))

    def encode(self, batch: Any) -> Encoded:
        """Encode the next batch; what is wrong with it is counted, and stands as NaN.

        Args:
            batch: pyarrow.RecordBatch with `columns`.

        Raises:
            InputError: A column holds no plain cells (lists, say).
        """
        people = self._people(batch)
        features = [self._feature(column, batch) for column in self._schema.feature_columns]
        targets = [self._target(column, batch) for column in self._schema.target_columns]
        self.rows += batch.num_rows
        return Encoded(people, _beside(features, batch.num_rows), _beside(targets, batch.num_rows))

    def words(self, name: str, batch: Any, keep: tuple[str, ...] = ()) -> Any:
        """A column as text without blanks around it, pyarrow.StringArray; null where a cell is empty.

        Args:
            name: The column.
            batch: Holds it.
            keep: Words that are never an empty cell.
        """
        cells = batch.column(name)
        try:
            if pa.types.is_floating(cells.type):
                # 3.0 is the category "3": a column of whole numbers with an empty cell is often stored so.
                shown = (None if cell is None or cell != cell else _shown(cell) for cell in cells.to_pylist())
                cells = pa.array(list(shown), pa.string())
            text = pc.utf8_trim(pc.cast(cells, pa.string()), characters=_BLANKS)
        except pa.ArrowException:
            problem = f"column '{name}' holds {cells.type}, which is no plain cell"
            raise InputError(problem, where=self._where, cure="store it as numbers or text") from None
        empty = pa.array([word for word in MISSING_WORDS if word not in keep], pa.string())
        return pc.if_else(pc.is_in(text, value_set=empty), None, text)

    def on_scale(self, name: str, values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
        """Numbers on their declared scale; rows that had to be pulled in to it are counted.

        Args:
            name: What they are counted as.
            values: [rows, ...].
            scale: The scale.
        """
        scaled = scale.scaled(values)
        rows = int(scaled.outside.reshape(len(values), -1).any(axis=1).sum())
        if rows:
            self.pulled_in[name] = self.pulled_in.get(name, 0) + rows
        return scaled.values

    def _people(self, batch: Any) -> list[str]:
        names = self.words(self._schema.person, batch)
        self.tally.add(self._schema.person, NO_PERSON, _flags(names.is_null()), self.rows)
        people = ["" if name is None else str(name) for name in names.to_pylist()]
        odd = np.array([not name.isprintable() for name in people], dtype=np.bool_)
        self.tally.add(self._schema.person, UNPRINTABLE, odd, self.rows)
        return people

    def _feature(self, column: SchemaColumn, batch: Any) -> NDArray[np.float64]:
        """[rows, features of this column]."""
        if column.kind == "category":
            number, missing = self._categories(column, batch)
            values = (number[:, None] == np.arange(len(column.categories))).astype(np.float64)
        else:
            number, missing = self._numbers(column, batch)
            values = number[:, None]
        return np.column_stack([values, missing]) if column.missing == "indicator" else values

    def _target(self, column: SchemaColumn, batch: Any) -> NDArray[np.float64]:
        """[rows, 1]; a category is its number."""
        find = self._categories if column.kind == "category" else self._numbers
        return find(column, batch)[0][:, None]

    def _numbers(self, column: SchemaColumn, batch: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(numbers on their scale, which were empty) of a number or binary column."""
        values, missing = self._read_numbers(column.name, batch)
        self.tally.add(column.name, NO_NUMBER, np.isnan(values) & ~missing, self.rows)
        values = self._filled(column, values, missing, column.fill)
        if column.kind == "binary":
            self.tally.add(column.name, NOT_BINARY, ~np.isnan(values) & ~np.isin(values, (0, 1)), self.rows)
            return values, missing
        return self.on_scale(column.name, values, column), missing

    def _categories(self, column: SchemaColumn, batch: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(number of each category, which were empty) of a category column; NaN where there is none."""
        words = self.words(column.name, batch, keep=column.categories)
        missing = _flags(words.is_null())
        found = pc.index_in(words, value_set=pa.array(column.categories, pa.string()))
        numbers = np.array(pc.cast(found, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        self.tally.add(column.name, UNDECLARED, np.isnan(numbers) & ~missing, self.rows)
        fill = column.categories.index(str(column.fill)) if column.fill is not None else None
        return self._filled(column, numbers, missing, fill), missing

    def _filled(
        self, column: SchemaColumn, values: NDArray[np.float64], missing: NDArray[np.bool_], fill: float | str | None
    ) -> NDArray[np.float64]:
        if fill is None:
            self.tally.add(column.name, EMPTY, missing, self.rows)
            return values
        return np.where(missing, float(fill), values)

    def _read_numbers(self, name: str, batch: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(numbers, which cells are empty); NaN for whatever is no finite number."""
        cells = batch.column(name)
        kind = cells.type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            values = np.array(pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
            return np.where(np.isfinite(values), values, np.nan), np.isnan(values)
        words = self.words(name, batch)
        try:
            values = np.array(pc.cast(words, pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:  # one of them is not spelled as Arrow spells numbers: cell by cell
            values = np.array([np.nan if word is None else parse_number(word) for word in words.to_pylist()])
        return np.where(np.isfinite(values), values, np.nan), _flags(words.is_null())


def _shown(cell: float) -> str:
    return format_number(cell) if np.isfinite(cell) else repr(cell)


def _flags(mask: Any) -> NDArray[np.bool_]:
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _beside(columns: list[NDArray[np.float64]], rows: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((rows, 0)), *columns], axis=1).astype(np.float32)
