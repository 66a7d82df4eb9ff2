"""Reading matrices, people as rows: TSV, CSV, Parquet, and the h5ad files of AnnData, dense or sparse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.data.tablefile import TableFile

#: How text says that a number is missing.
MISSING_WORDS = ("", "NA", "NaN", "nan", "null")
_NUMBERS_AT_ONCE = 2 << 20
_RESTORE = "restore the file from its source"


class Rows(NamedTuple):
    """Some rows: who they are of, and their numbers, float64 [rows, features], NaN where one is missing."""

    people: list[str]
    values: NDArray[np.float64]


class Matrix(Protocol):
    """A matrix on disk.

    Attributes:
        path: The file.
        features: Names of its columns.
    """

    path: Path
    features: tuple[str, ...]

    def rows(self, features: Sequence[str]) -> Iterator[Rows]:
        """All rows, some at a time, with these columns in this order.

        Raises:
            InputError: A cell that is no finite number, a row of nobody, or a damaged file; no value is shown.
        """
        ...


def open_matrix(path: Path) -> Matrix:
    """Open a matrix by what its name says it is.

    Raises:
        InputError: Missing, unreadable, or a column twice.
    """
    if path.suffix.lower() == ".h5ad":
        return _AnnData(path)
    return _Table(path)


class _Table:
    """A table whose first column names the person of a row."""

    def __init__(self, path: Path) -> None:
        self.path, self._table = path, TableFile(path)
        self._person, *features = self._table.columns
        self.features = tuple(features)
        if not features:
            raise InputError("has no feature beside its first column", where=path, cure="give people as rows")

    def rows(self, features: Sequence[str]) -> Iterator[Rows]:
        """See `Matrix.rows`."""
        first = 1
        for batch in self._table.batches([self._person, *features]):
            people = [str(name) if name is not None else "" for name in batch.column(0).to_pylist()]
            columns = [self._numbers(batch.column(at), name, first) for at, name in enumerate(features, start=1)]
            yield _checked(Rows(people, np.stack(columns, axis=1)), self.path, features, first)
            first += batch.num_rows

    def _numbers(self, column: Any, name: str, first: int) -> NDArray[np.float64]:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            empty = pc.is_in(column, value_set=pa.array(MISSING_WORDS, column.type))
            column = pc.if_else(empty, pa.scalar(None, column.type), column)
        try:
            numbers = column.cast(pa.float64())
        except pa.ArrowException:
            raise InputError(
                f"column '{name}' holds something else than numbers", where=self.path, cure="correct the file"
            ) from None
        return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


class _AnnData:
    """An h5ad file: observations are people, variables are features, and `X` holds the numbers."""

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "matrix")
        try:
            with h5py.File(path, "r") as file:
                self._people, self.features = _index(file["obs"]), tuple(_index(file["var"]))
                shape = _shape(file["X"])
        except (OSError, KeyError, ValueError, UnicodeDecodeError):
            raise InputError("is not a whole h5ad file", where=path, cure=_RESTORE) from None
        if shape != (len(self._people), len(self.features)):
            raise InputError("X has another shape than obs and var", where=path, cure=_RESTORE)
        if len(set(self.features)) != len(self.features):
            raise InputError("names a variable twice", where=path, cure="make them unique (var_names_make_unique)")

    def rows(self, features: Sequence[str]) -> Iterator[Rows]:
        """See `Matrix.rows`."""
        place = {name: at for at, name in enumerate(self.features)}
        wanted = np.asarray([place[name] for name in features], dtype=np.int64)
        step = max(1, _NUMBERS_AT_ONCE // max(1, len(self.features)))
        try:
            with h5py.File(self.path, "r") as file:
                x = file["X"]
                if _encoding(x) == "csc_matrix":
                    raise InputError("X is stored by columns", where=self.path, cure="write it as CSR or dense")
                for start in range(0, len(self._people), step):
                    stop = min(start + step, len(self._people))
                    values = _block(x, start, stop, len(self.features))[:, wanted]
                    yield _checked(Rows(self._people[start:stop], values), self.path, features, start + 1)
        except (OSError, KeyError, ValueError):
            raise InputError("cannot be read to its end", where=self.path, cure=_RESTORE) from None


def _index(group: Any) -> list[str]:
    name = group.attrs["_index"]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in group[name][...]]


def _encoding(x: Any) -> str:
    return str(x.attrs.get("encoding-type", "array")) if isinstance(x, h5py.Group) else "array"


def _shape(x: Any) -> tuple[int, int]:
    rows, columns = x.attrs["shape"] if isinstance(x, h5py.Group) else x.shape
    return int(rows), int(columns)


def _block(x: Any, start: int, stop: int, columns: int) -> NDArray[np.float64]:
    if not isinstance(x, h5py.Group):
        return np.asarray(x[start:stop], dtype=np.float64)
    pointers = np.asarray(x["indptr"][start : stop + 1], dtype=np.int64)
    found = np.zeros((stop - start, columns))
    own = np.repeat(np.arange(stop - start), np.diff(pointers))
    found[own, x["indices"][pointers[0] : pointers[-1]]] = x["data"][pointers[0] : pointers[-1]]
    return found


def _checked(rows: Rows, path: Path, features: Sequence[str], first: int) -> Rows:
    nobody = next((at for at, name in enumerate(rows.people) if not name.strip()), None)
    if nobody is not None:
        raise InputError(f"row {first + nobody} names no person", where=path, cure="name the person of every row")
    endless = np.isinf(rows.values)
    if endless.any():
        row, column = (int(at[0]) for at in np.nonzero(endless))
        raise InputError(
            f"row {first + row} has an infinite number in '{features[column]}'", where=path, cure="correct the file"
        )
    return rows
