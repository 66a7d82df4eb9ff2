"""Matrices read and written in every form: the same numbers in, the same bins out, one line where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError
from afml.matrices.bins import Bins
from afml.matrices.reading import open_matrix
from afml.matrices.release import WRITERS, read_matrix, write_matrix
from tests.matrices.simulated import expression, names_of, write_h5ad, write_table

PEOPLE, FEATURES = 40, 7
VALUES = expression(PEOPLE, FEATURES, seed=3)
NAMES = [f"P{n}" for n in range(PEOPLE)]


def _written(folder: Path, form: str, values: np.ndarray = VALUES) -> Path:
    path = folder / f"m.{form.split('-')[0]}"
    if form.startswith("h5ad"):
        write_h5ad(path, NAMES, names_of(FEATURES), values, sparse=form.endswith("sparse"))
    else:
        write_table(path, NAMES, names_of(FEATURES), values)
    return path


@pytest.mark.parametrize("form", ["tsv", "parquet", "h5ad-dense", "h5ad-sparse"])
def test_every_form_reads_the_same(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afml.matrices.reading._NUMBERS_AT_ONCE", 3 * FEATURES)  # several blocks
    values = VALUES.copy()
    if form != "h5ad-sparse":
        values[2, 3] = np.nan
    matrix = open_matrix(_written(tmp_path, form, values))
    assert matrix.features == names_of(FEATURES)
    wanted = ("GENE5", "GENE0", "GENE3")
    blocks = list(matrix.rows(wanted))
    assert [name for block in blocks for name in block.people] == NAMES
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), values[:, [5, 0, 3]])


def test_what_is_no_matrix_is_refused_without_a_value(tmp_path: Path) -> None:
    text = tmp_path / "m.tsv"
    for content, message in (
        ("person\tA\nP1\tsecret7\n", "column 'A' holds something else than numbers"),
        ("person\tA\n\t1\n", "row 1 names no person"),
        ("person\tA\nP1\t1\nP2\tinf\n", "row 2 has an infinite number in 'A'"),
        ("person\nP1\n", "no feature beside its first column"),
        ("person\tA\tA\nP1\t1\t2\n", "two columns 'A'"),
    ):
        text.write_text(content)
        with pytest.raises(InputError, match=message) as refused:
            list(open_matrix(text).rows(open_matrix(text).features))
        assert "secret7" not in str(refused.value)
    broken = tmp_path / "m.h5ad"
    whole = _written(tmp_path, "h5ad-dense").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is not a whole h5ad file"):
        open_matrix(broken)
    write_h5ad(broken, NAMES[:-1], names_of(FEATURES), VALUES, sparse=False)
    with pytest.raises(InputError, match="another shape"):
        open_matrix(broken)


@pytest.mark.parametrize("form", sorted(WRITERS))
@pytest.mark.parametrize("fill", ["missing", "major"])
def test_what_is_released_comes_back(tmp_path: Path, form: str, fill: str) -> None:
    bins = Bins.around(names_of(FEATURES), VALUES, (0.5, 1.25), log=True)
    panel, masked = bins.panel(bins.coded(VALUES)), -1 if fill == "missing" else 0
    records = np.full((3, 2 * FEATURES), masked, dtype=np.int8)
    records[1, 4], records[2, 5], records[2, 0] = 2, 1, 1
    shows = np.random.default_rng(1).integers(0, 3, PEOPLE)
    order = write_matrix(tmp_path, panel, records, header=["##afml_run=x"], shows=shows, form=form)
    path = tmp_path / f"release.{form}"
    assert np.array_equal(read_matrix(path, panel, masked), records[shows][order])
    ((people, values),) = open_matrix(path).rows(bins.features)
    assert sorted(order) == list(range(PEOPLE))
    assert not set(people) & set(NAMES)
    assert set(np.unique(values[~np.isnan(values)])) <= {-2, -1, 0, 1, 2}
    assert np.isnan(values).all(axis=1).sum() == (0 if fill == "major" else np.count_nonzero(shows == 0))
    assert json.loads((tmp_path / "about.json").read_text()) == {"run": "x"}
    lines = (tmp_path / "bins.tsv").read_text().splitlines()
    assert [float(cell) for cell in lines[1].split("\t")[1:]] == bins.edges[0].tolist()
    if form == "h5ad":
        with h5py.File(path) as file:
            assert file.attrs["encoding-type"] == "anndata"
            assert np.array_equal(file["var/above"][...], bins.edges[:, 2])


def test_wrong_shapes_and_forms_are_refused(tmp_path: Path) -> None:
    bins = Bins.around(names_of(FEATURES), VALUES, (0.5, 1.25), log=True)
    panel = bins.panel(bins.coded(VALUES))
    with pytest.raises(ConfigError, match="not written as xlsx"):
        write_matrix(tmp_path, panel, np.zeros((1, 14), np.int8), header=[], form="xlsx")
    with pytest.raises(ConfigError, match="3 released columns, but the panel has 14"):
        write_matrix(tmp_path, panel, np.zeros((1, 3), np.int8), header=[])
    assert list(tmp_path.iterdir()) == []
