"""Storing a table row by row: what tables, arrays and images have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.errors import ConfigError, InputError
from afml.data.encode import Encoded, TableEncoder
from afml.data.kind import Built
from afml.data.marks import TELLING, alike, row_marks
from afml.data.people import PersonColumns
from afml.data.persons import PEOPLE_HELP, WITHOUT_HELP, Matched, read_who
from afml.data.schema import Schema
from afml.data.source import SourceWriter, open_source
from afml.data.tablefile import TableFile

_COUNTS = "private/counts.json"
#: Of features that are made at a time.
_BLOCK_BYTES = 16 << 20

Blocks = Callable[[TableEncoder, Any, Encoded], Iterator[NDArray[np.float32]]]
"""(encoder, batch, the batch encoded) -> features of its rows in order, [some rows, *shape] at a time."""


class TableOptions(Settings):
    """What `afml prepare` is told of a table; `schema_file` is read by `afml.data.schema`."""

    table: Path = Field(description="CSV, TSV or Parquet, a row or more a person.")
    people: Path | None = Field(default=None, description=PEOPLE_HELP)
    without: Path | None = Field(default=None, description=WITHOUT_HELP)
    schema_file: Path = Field(description="what its columns mean, TOML or JSON.")
    delimiter: str | None = Field(default=None, description="between cells, where the suffix does not say; or tab.")


class Counts(Settings):
    """What the person who prepares is told of the stored rows.

    Attributes:
        rows: How many the table has, those of people who are left out too.
        people: Who is stored.
        alike: Of these, people whose rows are exactly somebody else's.
        pulled_in: Column -> rows in which its number was outside of the declared range.
        filled: Column -> rows in which it was empty, where the schema declares what fills it.
        matched: Lines of --people and --without that name somebody.
    """

    rows: int
    people: int
    alike: int
    pulled_in: dict[str, int]
    filled: dict[str, int]
    matched: Matched = Matched()


class RowsKind:
    """What data kinds share whose features are stored row by row; see `DataKind`."""

    options: type[Settings] = TableOptions
    unit = "features"

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Who was named and found, whose rows are equal, which cells were filled or pulled in, targets of one value.

        Raises:
            InputError: There is nothing in the folder.
        """
        counts = Counts.load(folder / _COUNTS)
        filled = _rows(counts.filled, counts.rows, "were empty and count as the declared fill")
        pulled = _rows(counts.pulled_in, counts.rows, "were outside of the declared range and count as its end")
        return (*counts.matched.remarks(), *_alike(counts), *filled, *pulled, *_single(folder))

    def marks(self, folder: Path) -> list[tuple[bytes, ...]]:
        """Exact features; see `DataKind.marks`."""
        return row_marks(folder)


def load_schema(path: Path, form: str) -> Schema:
    """Read the schema of a kind of data.

    Raises:
        InputError: It cannot be read.
        ConfigError: It describes another kind.
    """
    schema = Schema.load(path)
    if schema.form != form:
        raise ConfigError(f"describes data of the kind {schema.form}, not {form}", where=path, cure="change --data")
    return schema


def _rows(found: Mapping[str, int], rows: int, what: str) -> Iterator[str]:
    for name, number in found.items():
        yield f"{name}: {number} of {rows} rows {what}"


def _alike(counts: Counts) -> Iterator[str]:
    if counts.alike:
        told = f"{counts.alike} of {counts.people} people have exactly the rows of somebody else"
        if counts.people - counts.alike < TELLING * counts.people:
            told += ": who comes back under another name will not be recognised, so keep everybody's name"
        yield told


def _single(folder: Path) -> Iterator[str]:
    """Targets that have one value alone."""
    source = open_source(folder)
    same = source.targets.min(axis=0) == source.targets.max(axis=0)  # [T]
    for name, one in zip(source.schema.targets, same.tolist(), strict=True):
        if one:
            yield f"target '{name}' is the same in every row: look at how it is coded"


def _filled(encoder: TableEncoder, schema: Schema, batch: Any) -> Iterator[tuple[str, int]]:
    """(column, empty cells in a batch) of the columns that the schema fills."""
    for column in schema.columns:
        if column.fill is not None:
            cells = batch.column(column.name)
            if not pa.types.is_floating(cells.type):  # whose empty cells are NaN, too
                cells = encoder.words(column.name, batch, keep=column.categories)
            yield column.name, pc.is_null(cells, nan_is_null=True).true_count


def store_rows(out: Path, options: TableOptions, schema: Schema, blocks: Blocks) -> Built:
    """Store every row of a table with its features; one batch of it is in memory at a time.

    Args:
        out: An empty folder.
        options: Name the table.
        schema: Of its columns.
        blocks: Makes the features.

    Raises:
        InputError: The table cannot be read, something is wrong with its rows, or everybody is left out.
    """
    who = read_who(options.people, options.without)
    table = TableFile(options.table, options.delimiter)
    encoder = TableEncoder(schema, options.table)
    filled: Counter[str] = Counter()
    table.require(encoder.columns)
    with SourceWriter(out, schema) as writer:
        for batch in table.batches(encoder.columns):
            encoded = encoder.encode(batch)
            filled.update(dict(_filled(encoder, schema, batch)))
            start = 0
            for block in blocks(encoder, batch, encoded):
                rows = slice(start, start + len(block))
                people = [who.person(name) for name in encoded.people[rows]]
                stays = np.array([person is not None for person in people], dtype=np.bool_)
                kept = [person for person in people if person is not None]
                writer.append(kept, block[stays], encoded.targets[rows][stays])
                start = rows.stop
            del batch, encoded  # before the next one is read
        encoder.tally.require_none(options.table, encoder.rows)
    if not writer.people:
        raise InputError("nobody is left", where=options.without or options.table, cure="leave fewer people out")
    counts = Counts(
        rows=encoder.rows, people=len(writer.people), alike=alike(out), pulled_in=encoder.pulled_in,
        filled=dict(+filled), matched=who.matched,
    )  # fmt: skip
    (out / _COUNTS).write_bytes(counts.canonical())
    agreement = DataAgreement(
        kind=schema.form,
        fingerprint=schema.digest().hex(),
        features=int(np.prod(schema.shape)),
        shape=schema.shape if len(schema.shape) > 1 else (),
        targets=len(schema.targets),
    )
    everybody = writer.people
    return Built(everybody, PersonColumns((), np.zeros((len(everybody), 0))), agreement)


def rows_at_once(shape: tuple[int, ...]) -> int:
    """How many rows of features of a shape are made at a time."""
    return max(1, _BLOCK_BYTES // (8 * int(np.prod(shape))))
