"""Tables: the reader against cell-by-cell encoding, the forms of file against each other, and its memory."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.data import tablefile
from afml.data.encode import TableEncoder
from afml.data.rows import TableOptions
from afml.data.schema import Schema, SchemaColumn
from afml.data.source import FeatureSource, SourceWriter, open_source
from afml.data.table import TABLE
from afml.data.tablefile import TableFile
from tests.data.tables import Table, reference, tables, write_parquet, write_text


def stored(schema: Schema, table: Path, folder: Path, **options: Any) -> FeatureSource:
    """What `afml prepare` would keep of a table."""
    path, out = folder / "schema.json", folder / f"stored {table.name}"
    path.write_bytes(schema.canonical())
    out.mkdir()
    built = TABLE.build(out, TableOptions(table=table, schema_file=path, **options), lambda _: None)
    source = open_source(out)
    assert built.data.fingerprint == schema.digest().hex()
    assert built.data.features == len(schema.features) == source.shape[0]
    assert len(built.samples) == len(source.row_counts) == len(built.columns.values)
    return source


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables(), st.integers(1, 5))
def test_any_table_is_read_as_its_cells_say(monkeypatch: pytest.MonkeyPatch, table: Table, at_once: int) -> None:
    monkeypatch.setattr(tablefile, "ROWS_AT_ONCE", at_once)
    expected = reference(table)
    order = list(dict.fromkeys(expected.people))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [
            write_text(folder / "t.csv", table.header, table.rows),
            write_text(folder / "t.tsv", table.header, table.rows, "\t"),
            write_parquet(folder / "t.parquet", table),
        ]
        sources = [stored(table.schema, file, folder) for file in files]
        for source in sources:
            np.testing.assert_array_equal(source.features, expected.features)
            np.testing.assert_array_equal(source.targets, expected.targets)
            assert source.owner.tolist() == [order.index(person) for person in expected.people]
        assert len({source.digest() for source in sources}) == 1


@settings(deadline=None)
@given(tables())
def test_what_is_pulled_in_is_counted(table: Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = write_text(Path(name) / "t.csv", table.header, table.rows)
        encoder = TableEncoder(table.schema, path)
        for batch in TableFile(path).batches(encoder.columns):
            encoder.encode(batch)
        assert sum(encoder.pulled_in.values()) == reference(table).outside
        assert encoder.rows == len(table.rows)


def test_a_large_table_is_never_whole_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When a batch comes, the one before it is gone, and its rows are already on disk."""
    rows = 200_000
    with (tmp_path / "t.csv").open("w") as out:
        out.write("person,x,y\n")
        out.writelines(f"p{row // 3},{row % 100},{row % 2}\n" for row in range(rows))
    schema = Schema(
        columns=(SchemaColumn(name="x", low=0, high=99), SchemaColumn(name="y", kind="binary")), targets=("y",)
    )
    read, writers, seen = TableFile.batches, [], []
    make = SourceWriter.__init__

    def remember(self: SourceWriter, *arguments: Any) -> None:
        make(self, *arguments)
        writers.append(self)

    def watched(self: TableFile, names: Any) -> Iterator[Any]:
        last, given = None, 0
        batches = read(self, names)
        while (batch := next(batches, None)) is not None:
            assert last is None or last() is None, "the batch before is still held"
            assert writers[0].rows == given
            assert batch.num_rows <= tablefile.ROWS_AT_ONCE
            given += batch.num_rows
            seen.append(batch.num_rows)
            last = weakref.ref(batch)
            yield batch
            del batch

    monkeypatch.setattr(SourceWriter, "__init__", remember)
    monkeypatch.setattr(TableFile, "batches", watched)
    source = stored(schema, tmp_path / "t.csv", tmp_path)
    assert sum(seen) == len(source) == rows
    assert len(seen) >= rows / tablefile.ROWS_AT_ONCE
    assert source.row_counts.max() == 3
    assert isinstance(source.features, np.memmap)
    np.testing.assert_array_equal(source.features[:, 0], (np.arange(rows) % 100 / 99).astype(np.float32))


def test_columns_of_other_types_are_read_as_they_are_written(tmp_path: Path) -> None:
    schema = Schema(
        columns=(
            SchemaColumn(name="flag", kind="binary"),
            SchemaColumn(name="count", low=0, high=10),
            SchemaColumn(name="grade", kind="category", categories=("1", "2"), missing="value", fill="2"),
            SchemaColumn(name="site", kind="category", categories=("a", "b")),
        ),
    )
    typed = pa.table(
        {
            "person": pa.array([7, 8, 7]),
            "flag": pa.array([True, False, True]),
            "count": pa.array([Decimal("2.5"), Decimal("5"), Decimal("20")]),
            "grade": pa.array([1.0, None, 2.0]),
            "site": pa.array(["a", "b", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(typed, tmp_path / "t.parquet")
    source = stored(schema, tmp_path / "t.parquet", tmp_path)
    assert source.features.tolist() == [[1, 0.25, 1, 0, 1, 0], [0, 0.5, 0, 1, 0, 1], [1, 1, 0, 1, 0, 1]]
    assert source.owner.tolist() == [0, 1, 0]
    assert TABLE.remarks(tmp_path / "stored t.parquet") == (
        "grade: 1 of 3 rows were empty and count as the declared fill",
        "count: 1 of 3 rows were outside of the declared range and count as its end",
    )


def test_what_was_filled_and_targets_of_one_value_are_told(tmp_path: Path) -> None:
    """Rows are those of the table, whoever is left out; cells are empty as the encoder takes them."""
    schema = Schema(
        columns=(
            SchemaColumn(name="age", low=0, high=100, missing="indicator", fill=50.0),
            SchemaColumn(name="ward", kind="category", categories=("a", "NA"), missing="value", fill="a"),
            SchemaColumn(name="ill", kind="binary"),
        ),
        targets=("ill",),
    )
    (tmp_path / "gone.txt").write_text("p3\n")
    cells = ["p0,,a,1", "p1,NA,NA,1", "p2,7,,1", "p3,300,nan,0"]
    for name, left_out, told in (
        ("some.csv", {"without": tmp_path / "gone.txt"}, ["target 'ill' is the same in every row: look at how"]),
        ("all.csv", {}, []),
    ):
        (tmp_path / name).write_text("\n".join(["person,age,ward,ill", *cells]) + "\n")
        stored(schema, tmp_path / name, tmp_path, **left_out)
        remarks = TABLE.remarks(tmp_path / f"stored {name}")[len(left_out) :]
        assert list(remarks[:3]) == [
            "age: 2 of 4 rows were empty and count as the declared fill",
            "ward: 2 of 4 rows were empty and count as the declared fill",
            "age: 1 of 4 rows were outside of the declared range and count as its end",
        ]
        assert [line[: len(told[0])] for line in remarks[3:]] == told
