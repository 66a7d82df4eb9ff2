"""Arrays: npy and zarr give the same source, item i belongs to row i, and what does not fit is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from afml.core.errors import InputError
from afml.data import rows, tablefile
from afml.data.array import ARRAY, ArrayOptions
from afml.data.schema import ArrayForm, Schema, SchemaColumn
from afml.data.source import open_source
from tests.data.tables import write_text

SCHEMA = Schema(
    array=ArrayForm(shape=(2, 3), centre=10, spread=2),
    columns=(SchemaColumn(name="stage", kind="category", categories=("early", "late")),),
    targets=("stage",),
)


def prepare(folder: Path, features: Path, people: int = 20) -> Path:
    (folder / "schema.json").write_bytes(SCHEMA.canonical())
    table = write_text(
        folder / "t.csv", ("person", "stage"), [(f"p{row // 2}", ("late", "early")[row % 2]) for row in range(people)]
    )
    out = folder / f"stored {features.name}"
    out.mkdir(exist_ok=True)
    given = ArrayOptions(table=table, schema_file=folder / "schema.json", features=features)
    built = ARRAY.build(out, given, lambda _: None)
    assert (built.data.kind, built.data.features) == ("array", 6)
    assert built.samples == tuple(f"p{number}" for number in range(people // 2))
    return out


def test_npy_and_zarr_in_small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tablefile, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 3 * 6 * 8)
    items = np.random.default_rng(1).normal(10, 3, (20, 2, 3))
    items[4, 1, 1] = 1e9
    np.save(tmp_path / "x.npy", items)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(items))
    zarr.create_array(tmp_path / "x.zarr", data=items, chunks=(6, 2, 3))
    digests = set()
    for name in ("x.npy", "fortran.npy", "x.zarr"):
        source = open_source(prepare(tmp_path, tmp_path / name))
        np.testing.assert_array_equal(source.features, np.clip((items - 10) / 2, -4, 4).astype(np.float32))
        assert source.targets[:, 0].tolist() == [1, 0] * 10
        assert source.owner.tolist() == [row // 2 for row in range(20)]
        digests.add(source.digest())
    assert len(digests) == 1
    beyond = int((np.abs((items - 10) / 2) > 4).any(axis=(1, 2)).sum())
    assert ARRAY.remarks(tmp_path / "stored x.npy")[0].startswith(f"x.npy: {beyond} of 20 rows")


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.bool_, np.float32])
def test_numbers_of_any_kind(tmp_path: Path, dtype: type) -> None:
    items = np.random.default_rng(1).integers(0, 2, (20, 2, 3)).astype(dtype)
    np.save(tmp_path / "x.npy", items)
    source = open_source(prepare(tmp_path, tmp_path / "x.npy"))
    np.testing.assert_array_equal(source.features, np.clip((items.astype(float) - 10) / 2, -4, 4))


@pytest.mark.parametrize(
    ("items", "line"),
    [
        (np.zeros((19, 2, 3)), "holds 19 items, and the table more rows; give one row of the table for each item"),
        (np.zeros((21, 2, 3)), "holds 21 items, and the table 20 rows; give one row"),
        (np.zeros((20, 3, 2)), "holds items of shape (3, 2), and the schema declares (2, 3)"),
        (np.zeros(()), "is no array of numbers with items as rows"),
        (np.array([["4711"]]), "is no array of numbers"),
        (np.array([{}], dtype=object), "is no npy file and no zarr array; save it with numpy.save"),
        (np.full((20, 2, 3), 1j), "is no array of numbers"),
    ],
)
def test_one_line_for_what_does_not_fit(tmp_path: Path, items: np.ndarray, line: str) -> None:
    np.save(tmp_path / "x.npy", items)
    with pytest.raises(InputError) as caught:
        prepare(tmp_path, tmp_path / "x.npy")
    assert str(caught.value).startswith(f"{tmp_path / 'x.npy'}: ")
    assert line in str(caught.value)
    assert "4711" not in str(caught.value)


def test_what_is_not_finite_or_not_there(tmp_path: Path) -> None:
    items = np.zeros((20, 2, 3))
    items[3, 0, 0], items[9, 1, 2] = np.nan, np.inf
    np.save(tmp_path / "x.npy", items)
    with pytest.raises(InputError, match=r"'x.npy' holds something else than finite numbers in 2 of 20 rows .*row 4\)"):
        prepare(tmp_path, tmp_path / "x.npy")
    with pytest.raises(InputError, match="array does not exist"):
        prepare(tmp_path, tmp_path / "none.npy")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is no npy file and no zarr array"):
        prepare(tmp_path, tmp_path / "folder")
