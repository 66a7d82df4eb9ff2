"""Storing a table row by row: what tables, arrays and images have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.errors import ConfigError, InputError
from afml.data.encode import Encoded, TableEncoder
from afml.data.kind import Built
from afml.data.marks import alike, row_marks
from afml.data.people import PersonColumns
from afml.data.persons import PEOPLE_HELP, WITHOUT_HELP, Matched, read_who
from afml.data.schema import Schema
from afml.data.source import SourceWriter
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
        rows: How many there are.
        alike: People whose rows are exactly somebody else's.
        pulled_in: Column -> rows in which its number was outside of the declared range.
        matched: Lines of --people and --without that name somebody.
    """

    rows: int
    alike: int = 0
    pulled_in: dict[str, int]
    matched: Matched = Matched()


class RowsKind:
    """What data kinds share whose features are stored row by row; see `DataKind`."""

    options: type[Settings] = TableOptions
    unit = "features"

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Who was named and found, how many people have equal rows, which numbers were out of their declared range.

        Raises:
            InputError: There is nothing in the folder.
        """
        counts = Counts.load(folder / _COUNTS)
        same = [f"{counts.alike} people have exactly the rows of somebody else"] if counts.alike else []
        pulled = (
            f"{name}: {rows} of {counts.rows} rows were outside of the declared range and count as its end"
            for name, rows in counts.pulled_in.items()
        )
        return (*counts.matched.remarks(), *same, *pulled)

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
    table.require(encoder.columns)
    with SourceWriter(out, schema) as writer:
        for batch in table.batches(encoder.columns):
            encoded = encoder.encode(batch)
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
    counts = Counts(rows=writer.rows, alike=alike(out), pulled_in=encoder.pulled_in, matched=who.matched)
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
