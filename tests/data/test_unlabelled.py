"""People whose outcome is not known are stored as `afml prepare` stores the same people with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from afml.core.errors import ConfigError, InputError
from afml.data.array import ArrayOptions
from afml.data.images import ImageOptions
from afml.data.kind import DATA_KINDS
from afml.data.rows import TableOptions
from afml.data.schema import ArrayForm, ImageForm, Schema, SchemaColumn
from afml.data.source import open_source
from afml.data.unlabelled import unlabelled
from tests.data.tables import write_text

AGE = SchemaColumn(name="age", low=0, high=50)
COLOUR = SchemaColumn(name="colour", kind="category", categories=("red", "blue"))
DAYS = SchemaColumn(name="days", centre=3, spread=2)
ILL = SchemaColumn(name="ill", kind="binary")
KIND = SchemaColumn(name="kind", kind="category", categories=("a", "b"))
TARGETS = (DAYS, ILL, KIND)
HEADER = ("person", "age", "colour", "days", "ill", "kind", "file")
ROWS = [
    (f"p{row % 3}", str(9 * row), ("red", "blue")[row % 2], str(row), str(row % 2), ("b", "a")[row % 2], f"{row}.png")
    for row in range(6)
]
KNOWN = (0, 1, 2, 6)


def _said(_: str) -> None:
    pass


def _same(options: TableOptions, folder: Path, schema: Schema) -> None:
    """With the table's outcomes and without them the features are the same."""
    lacking = write_text(folder / "lacking.csv", [HEADER[n] for n in KNOWN], [tuple(r[n] for n in KNOWN) for r in ROWS])
    out = folder / "out"
    for part in ("public", "private"):
        (out / part).mkdir(parents=True)
    built = DATA_KINDS.get(schema.form).build(out, options, _said)
    known = open_source(out)
    for table in (lacking, options.table):
        with unlabelled(options.model_copy(update={"table": table}), schema, _said) as prepared:
            found = open_source(prepared.folder)
            np.testing.assert_array_equal(found.features, known.features)
            np.testing.assert_array_equal(found.owner, known.owner)
            assert prepared.data == built.data
            assert prepared.people.samples == built.samples
            assert prepared.enrolled.tolist() == [0, 1, 2]
            left = prepared.folder
        assert not left.exists()


def test_tables(tmp_path: Path) -> None:
    schema = Schema(columns=(AGE, COLOUR, *TARGETS), targets=("days", "ill", "kind"))
    (tmp_path / "schema.json").write_bytes(schema.canonical())
    options = TableOptions(table=write_text(tmp_path / "t.csv", HEADER, ROWS), schema_file=tmp_path / "schema.json")
    _same(options, tmp_path, schema)


def test_arrays_and_images(tmp_path: Path) -> None:
    table = write_text(tmp_path / "t.csv", HEADER, ROWS)
    names = {"targets": ("days", "ill", "kind"), "columns": TARGETS}
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    array = Schema(array=ArrayForm(shape=(2,), low=0, high=12), **names)  # type: ignore[arg-type]
    images = Schema(images=ImageForm(width=3, height=2, mode="L"), **names)  # type: ignore[arg-type]
    for row in range(6):
        Image.new("L", (3, 2), row).save(tmp_path / f"{row}.png")
    for schema, kind, beside in (
        (array, ArrayOptions, {"features": tmp_path / "x.npy"}),
        (images, ImageOptions, {"images": tmp_path}),
    ):
        folder = tmp_path / schema.form
        folder.mkdir()
        (folder / "schema.json").write_bytes(schema.canonical())
        _same(kind(table=table, schema_file=folder / "schema.json", **beside), folder, schema)  # type: ignore[arg-type]


def test_parquet_and_a_category_that_is_a_feature(tmp_path: Path) -> None:
    schema = Schema(columns=(AGE, COLOUR, ILL), targets=("ill",))
    (tmp_path / "schema.json").write_bytes(schema.canonical())
    columns = {name: pa.array([row[place] for row in ROWS]) for place, name in enumerate(HEADER[:3])}
    columns["age"] = pa.array([9 * row for row in range(6)], pa.int32())
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    options = TableOptions(table=tmp_path / "t.parquet", schema_file=tmp_path / "schema.json")
    with unlabelled(options, schema, _said) as prepared:
        assert open_source(prepared.folder).features[1].tolist() == [pytest.approx(9 / 50), 0.0, 1.0]


def test_what_is_wrong_is_said_of_the_table_that_was_given(tmp_path: Path) -> None:
    schema = Schema(columns=(AGE, ILL), targets=("ill",))
    (tmp_path / "schema.json").write_bytes(schema.canonical())
    options = TableOptions(
        table=write_text(tmp_path / "t.csv", ("person", "age"), [("p", "old")]), schema_file=tmp_path / "schema.json"
    )
    with pytest.raises(InputError, match="something else than a number") as told, unlabelled(options, schema, _said):
        pass
    assert told.value.where == str(options.table)
    other = Schema(array=ArrayForm(shape=(2,), low=0, high=1), columns=(ILL,), targets=("ill",))
    with pytest.raises(ConfigError, match="of the kind array"), unlabelled(options, other, _said):
        pass
