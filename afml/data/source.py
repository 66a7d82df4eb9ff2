"""A feature source: what tables, arrays and images become on disk, with the rows of people as rows.

private/features.npy   float32 [rows, *shape]   on the declared scales
private/targets.npy    float32 [rows, T]        what is predicted; a category is its number in the declared order
private/owner.npy      int64 [rows]             whose row it is: the person's place in people.tsv
public/schema.json     what was declared; its digest is what institutions agree on
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError, IntegrityError
from afml.core.files import write_bytes
from afml.data.schema import Schema

_FEATURES, _TARGETS, _OWNER = "private/features.npy", "private/targets.npy", "private/owner.npy"
_SCHEMA = "public/schema.json"
_BLOCK_BYTES = 4 << 20  # read at a time while a digest is taken
_CURE = "run `afml prepare` again"


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Features and targets of an institution's people, on disk until a row is read.

    Attributes:
        schema: What was declared of them.
        features: float32 [rows, *shape], memory-mapped.
        targets: float32 [rows, T], memory-mapped.
        owner: int64 [rows], place in people.tsv of the person whose row it is.
    """

    schema: Schema
    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.owner)

    def __repr__(self) -> str:
        return f"FeatureSource({len(self.row_counts)} people, {len(self)} rows of {self.shape})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of features."""
        return self.features.shape[1:]

    @cached_property
    def row_counts(self) -> NDArray[np.int64]:
        """How many rows every person has, at least one, int64 [people]."""
        return np.bincount(self.owner).astype(np.int64)

    @cached_property
    def _by_person(self) -> NDArray[np.int64]:
        return np.argsort(self.owner, kind="stable")

    def rows_of(self, people: NDArray[np.int64]) -> NDArray[np.int64]:
        """All rows of some people: person by person in the order given, each person's in stored order.

        `row_counts[people]` says how many consecutive ones belong to each.

        Args:
            people: Places in people.tsv, [people]; any order, repeats allowed.

        Returns:
            Row numbers, int64 [rows of these people].
        """
        counts = self.row_counts[people]
        ends = np.cumsum(counts)
        firsts = (np.cumsum(self.row_counts) - self.row_counts)[people]
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return np.asarray(self._by_person[np.repeat(firsts, counts) + within])

    def digest(self) -> str:
        """Hex SHA-256 over schema, features, targets and owners, read in blocks."""
        total = hashlib.sha256(self.schema.digest())
        arrays: tuple[NDArray[Any], ...] = (self.features, self.targets, self.owner)
        for array in arrays:
            total.update(f"{array.dtype.str}{array.shape}".encode())
            for block in row_blocks(array):
                total.update(np.ascontiguousarray(block).tobytes())
        return total.hexdigest()


def open_source(folder: Path) -> FeatureSource:
    """Open what a data kind with features has stored.

    Args:
        folder: Of a prepared institution (`afml.data.prepared.Prepared.folder`).

    Raises:
        InputError: There is no feature source.
        IntegrityError: Its parts do not fit together.
    """
    arrays = []
    for name in (_FEATURES, _TARGETS, _OWNER):
        try:
            arrays.append(np.load(folder / name, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError:
            problem = "holds no features of a table, an array or images"
            raise InputError(problem, where=folder, cure="run `afml prepare` with --data") from None
        except (ValueError, OSError):
            raise IntegrityError("is damaged", where=folder / name, cure=_CURE) from None
    schema = Schema.load(folder / _SCHEMA)
    features, targets, owner = arrays
    whole = (
        features.dtype == targets.dtype == np.float32
        and owner.dtype == np.int64
        and features.shape == (len(owner), *schema.shape)
        and targets.shape == (len(owner), len(schema.targets))
        and len(owner) > 0
        and owner.min() == 0
        and bool(np.bincount(owner).all())
    )
    if not whole:
        raise IntegrityError("features, targets and owners do not fit together", where=folder, cure=_CURE)
    return FeatureSource(schema, features, targets, np.array(owner))


class SourceWriter:
    """Writes a feature source row by row; holds no more of it than the names of its people.

    Args:
        folder: An empty folder.
        schema: What was declared.
    """

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._schema_file, self._schema = folder / _SCHEMA, schema
        self._places: dict[str, int] = {}
        (folder / _OWNER).parent.mkdir(exist_ok=True)
        self._features = _GrowingArray(folder / _FEATURES, np.dtype(np.float32), schema.shape)
        self._targets = _GrowingArray(folder / _TARGETS, np.dtype(np.float32), (len(schema.targets),))
        self._owner = _GrowingArray(folder / _OWNER, np.dtype(np.int64), ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for array in (self._features, self._targets, self._owner):
            array.close()
        if error is None:
            write_bytes(self._schema_file, self._schema.canonical())

    @property
    def rows(self) -> int:
        """Rows that have been written."""
        return self._owner.rows

    @property
    def people(self) -> tuple[str, ...]:
        """Names of the people met so far, in the order in which they came."""
        return tuple(self._places)

    def append(self, people: Sequence[str], features: NDArray[np.float32], targets: NDArray[np.float32]) -> None:
        """Write some rows.

        Args:
            people: The person of each, [rows].
            features: [rows, *shape].
            targets: [rows, T].
        """
        self._owner.append(np.array([self._places.setdefault(name, len(self._places)) for name in people], np.int64))
        self._features.append(features)
        self._targets.append(targets)


class _GrowingArray:
    """An npy file that is longer with every append; its header is told how long when it is closed.

    numpy leaves room in a header for the first dimension to grow.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._dtype, self._shape = dtype, shape
        self.rows = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def append(self, block: NDArray[Any]) -> None:
        if block.dtype != self._dtype or block.shape[1:] != self._shape:
            raise ValueError(f"{block.dtype} {block.shape[1:]} in a file of {self._dtype} {self._shape}")
        self._file.write(np.ascontiguousarray(block).tobytes())
        self.rows += len(block)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


def row_blocks(array: Any) -> Iterator[NDArray[Any]]:
    """The rows of an array, a few MiB at a time."""
    bytes_per_row = max(1, int(np.prod(array.shape[1:])) * array.dtype.itemsize)
    rows = max(1, _BLOCK_BYTES // bytes_per_row)
    for start in range(0, len(array), rows):
        yield np.asarray(array[start : start + rows])
