"""The kinds of data of rows keep the contract of all kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from afml.data.array import ArrayOptions
from afml.data.images import ImageOptions
from afml.data.rows import TableOptions
from afml.data.schema import ArrayForm, ImageForm, Schema, SchemaColumn
from tests.data.contract import keeps_the_contract
from tests.data.tables import write_text

ILL = SchemaColumn(name="ill", kind="binary")
AGE = SchemaColumn(name="age", low=0, high=50)


def given(folder: Path, schema: Schema) -> dict[str, Path]:
    """A table of six rows of three people, and the schema."""
    rows = [(f"p{row % 3}", str(20 * row), str(row % 2), f"{row}.png") for row in range(6)]
    (folder / "schema.json").write_bytes(schema.canonical())
    table = write_text(folder / "t.csv", ("person", "age", "ill", "file"), rows)
    return {"table": table, "schema_file": folder / "schema.json"}


def test_tables(tmp_path: Path) -> None:
    options = TableOptions(**given(tmp_path, Schema(columns=(AGE, ILL), targets=("ill",))))
    built = keeps_the_contract("table", options, tmp_path / "kept")
    assert built.samples == ("p0", "p1", "p2")


def test_arrays(tmp_path: Path) -> None:
    schema = Schema(array=ArrayForm(shape=(2,), low=0, high=1), columns=(ILL,), targets=("ill",))
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    options = ArrayOptions(**given(tmp_path, schema), features=tmp_path / "x.npy")
    assert keeps_the_contract("array", options, tmp_path / "kept").data.features == 2


def test_images(tmp_path: Path) -> None:
    schema = Schema(images=ImageForm(width=3, height=2, mode="L"), columns=(ILL,), targets=("ill",))
    for row in range(6):
        Image.new("L", (3, 2), row).save(tmp_path / f"{row}.png")
    options = ImageOptions(**given(tmp_path, schema), images=tmp_path)
    assert keeps_the_contract("images", options, tmp_path / "kept").data.features == 6
