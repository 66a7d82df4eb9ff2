"""Arrays as a kind of data: item i of an npy file or a zarr array belongs to row i of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import Field

from afml.core.config import Settings
from afml.core.errors import InputError
from afml.data.encode import Encoded, TableEncoder
from afml.data.kind import Built, Note
from afml.data.rows import RowsKind, TableOptions, load_schema, rows_at_once, store_rows
from afml.data.schema import ArrayForm
from afml.data.tally import NOT_FINITE


class ArrayOptions(TableOptions):
    """What `afml prepare` is told of an array: its features are numbers of any kind, [rows, *shape]."""

    features: Path = Field(description="npy file or zarr array, one item a row of the table.")


class ArrayData(RowsKind):
    """Features in an npy file or a zarr array, people and targets in a table."""

    options = ArrayOptions

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Scale and store an array, block by block; see `DataKind.build`."""
        given = cast(ArrayOptions, options)
        schema = load_schema(given.schema_file, "array")
        items = _Items(given.features, cast(ArrayForm, schema.array))
        note("scaling the array")
        built = store_rows(out, given, schema, items.blocks)
        if items.read < len(items):
            raise _uneven(given.features, len(items), f"{items.read} rows")
        return built


class _Items:
    """The items of an array, read in order."""

    def __init__(self, path: Path, form: ArrayForm) -> None:
        self._array, self._path, self._form = _open(path), path, form
        self.read = 0
        if self._array.shape[1:] != form.shape:
            raise InputError(
                f"holds items of shape {self._array.shape[1:]}, and the schema declares {form.shape}",
                where=path,
                cure="correct the schema, at every institution, or the array",
            )

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def blocks(self, encoder: TableEncoder, batch: Any, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
        """The items of a batch of rows, on the declared scale."""
        end = self.read + len(encoded.people)
        if end > len(self):
            raise _uneven(self._path, len(self), "more rows")
        step = rows_at_once(self._form.shape)
        while self.read < end:
            stop = min(end, self.read + step)
            values = np.asarray(self._array[self.read : stop], dtype=np.float64)
            odd = np.asarray((~np.isfinite(values)).reshape(len(values), -1).any(axis=1))
            encoder.tally.add(self._path.name, NOT_FINITE, odd, self.read)
            yield encoder.on_scale(self._path.name, values, self._form).astype(np.float32)
            self.read = stop


def _uneven(path: Path, items: int, rows: str) -> InputError:
    cure = "give one row of the table for each item, in the same order"
    return InputError(f"holds {items} items, and the table {rows}", where=path, cure=cure)


def _open(path: Path) -> Any:
    """An array of numbers, unread."""
    if not path.exists():
        raise InputError("array does not exist", where=path, cure="check the path")
    try:
        # A numpy array or a zarr one: both have a shape and are read by slices.
        array = zarr.open_array(str(path), mode="r") if path.is_dir() else np.load(path, "r", allow_pickle=False)
        numbers, axes = np.dtype(array.dtype).kind in "biuf", len(array.shape)
    except Exception:  # noqa: BLE001 (zarr and numpy raise many kinds for a file that is none of theirs)
        raise InputError("is no npy file and no zarr array", where=path, cure="save it with numpy.save") from None
    if not numbers or not axes:
        raise InputError("is no array of numbers with items as rows", where=path, cure="save one such array")
    return array


ARRAY = ArrayData()
