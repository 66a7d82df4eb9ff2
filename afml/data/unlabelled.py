"""Data of people of whom the outcome is not known: to predict it, not to train on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from afml.core.errors import ConfigError, InputError
from afml.data.kind import DATA_KINDS, Built, Note
from afml.data.people import PeopleTable
from afml.data.prepared import Prepared
from afml.data.rows import TableOptions
from afml.data.schema import Schema, SchemaColumn
from afml.data.tablefile import TableFile


@contextmanager
def unlabelled(options: TableOptions, schema: Schema, note: Note) -> Iterator[Prepared]:
    """Store data as `afml prepare` would, for as long as the context is open.

    Args:
        options: Of the schema's kind of data; the table may lack the columns that are predicted. What it holds in
            them is not looked at.
        schema: What the columns mean, `options.schema_file` as read.
        note: Told what is happening.

    Yields:
        The prepared data: everybody's turn it is, in the order of their first row.

    Raises:
        InputError: Anything wrong with a file.
    """
    kind = DATA_KINDS.get(schema.form)
    if not isinstance(options, kind.options):
        raise ConfigError(f"describes data of the kind {schema.form}", where=options.schema_file, cure="change --data")
    with tempfile.TemporaryDirectory(prefix="afml-predict-") as name:
        root = Path(name)
        for part in (root / "data" / "public", root / "data" / "private"):
            part.mkdir(parents=True)
        filled = root / "table.parquet"
        _fill_targets(TableFile(options.table, options.delimiter), schema, filled)
        given = options.model_copy(update={"table": filled, "delimiter": None})
        try:
            built = kind.build(root / "data", given, note)
        except InputError as error:
            if error.where != str(filled):
                raise
            raise InputError(error.problem, where=options.table, cure=error.cure) from None
        yield _everybody(root, built)


def _everybody(root: Path, built: Built) -> Prepared:
    table = root / "people.tsv"
    people = len(built.samples)
    PeopleTable(built.samples, built.columns, np.ones(people, np.bool_)).save(table)
    return Prepared(root / "data", table, built.data)


def _fill_targets(table: TableFile, schema: Schema, out: Path) -> None:
    """The table with a value of no meaning in every target."""
    targets = {column.name: _any_value(column) for column in schema.target_columns}
    read = [name for name in (*schema.keys, *(column.name for column in schema.feature_columns)) if name not in targets]
    table.require(read)
    writer: Any = None
    try:
        for batch in table.batches(read):
            columns = [*batch.columns, *(pa.array([value] * batch.num_rows, pa.string()) for value in targets.values())]
            filled = pa.RecordBatch.from_arrays(columns, names=[*read, *targets])
            if writer is None:
                writer = pa_parquet.ParquetWriter(out, filled.schema)
            writer.write_batch(filled)
    finally:
        if writer is not None:
            writer.close()


def _any_value(column: SchemaColumn) -> str:
    if column.kind == "category":
        return column.categories[0]
    if column.kind == "binary":
        return "0"
    return repr(column.centre if column.centre is not None else column.low)
