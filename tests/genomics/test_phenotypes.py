"""Phenotype tables."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.genomics.phenotypes import (
    format_number,
    parse_number,
    read_phenotypes,
    write_phenotypes,
)


def test_round_trip_in_the_order_of_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "y.tsv"
    write_phenotypes(path, ["a", "b", "c"], np.array([1, 0, 1], dtype=np.int8))
    assert path.read_text() == "sample\tphenotype\na\t1\nb\t0\nc\t1\n"
    table = read_phenotypes(path, ["c", "b"])
    assert table.names == ("phenotype",)
    assert table.column("phenotype", where=path).tolist() == [1, 0]


def test_several_columns_keep_their_names_and_numbers(tmp_path: Path) -> None:
    path, values = tmp_path / "y.tsv", np.array([[1, 171.25], [0, 1 / 3], [1, -2.5e-7]])
    write_phenotypes(path, ["a", "b", "c"], values, ["gout", "height"])
    assert path.read_text().splitlines()[:2] == ["sample\tgout\theight", "a\t1\t171.25"]
    table = read_phenotypes(path, ["c", "a", "b"])
    assert table.names == ("gout", "height")
    np.testing.assert_array_equal(table.values, values[[2, 0, 1]])


def test_codes_for_missing_numbers_are_taken_as_declared_and_refused_where_they_are_not(tmp_path: Path) -> None:
    path = tmp_path / "y.tsv"
    path.write_text("sample\tphenotype\theight\na\t1\t171.5\nb\t-9\t-9\nc\t0\tunknown\nd\t0\t-9.0\n")
    with pytest.raises(InputError, match="line 3 has no phenotype 0 or 1"):
        read_phenotypes(path, ["a", "b"])
    table = read_phenotypes(path, ["a", "b", "c", "d"], codes=("-9", "unknown"))
    assert np.array_equal(table.values, [[1, 171.5], [math.nan] * 2, [0, math.nan], [0, math.nan]], equal_nan=True)
    path.write_text(path.read_text().replace("\t-9\t-9\n", "\t0\t-9\n"))
    with pytest.raises(InputError, match=r"column 'height' holds -9 in 2 rows .*; give --missing-code=-9 if"):
        read_phenotypes(path, ["a", "b", "c", "d"])
    assert read_phenotypes(path, ["a", "b", "c"], codes=("none",)).values[1, 1] == -9
    path.write_text(path.read_text().replace("171.5", "-3"))  # numbers below 0 are usual in this column
    assert read_phenotypes(path, ["a", "b"]).values[:, 1].tolist() == [-3, -9]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sample;phenotype\na;1\n", "columns are separated by ';'; save it with tabs between columns"),
        ("Patient\tphenotype\na\t1\n", "first line is not .*; call the first column 'sample', or add this header"),
        (
            "sample\tphenotype\na\t1\nb\t2\nc\t2\n",
            "line 3 .*, nor have 1 further lines; take 1 from all if controls are 1",
        ),
        ("sample\tphenotype\na\t1\nb\tcase\n", "line 3 has no phenotype 0 or 1; write 1 for cases and 0 for controls"),
        ("sample\tphenotype\na\t1\nb\t7\n", "line 3 has no phenotype 0 or 1; correct this line"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_a_cure_that_fits(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "y.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as refused:
        read_phenotypes(path, ["a", "b", "c"])
    assert "Patient" not in str(refused.value), "where there is no header it would be a person's name"


@given(st.floats(allow_infinity=False))
def test_numbers_read_back_to_the_same_bits(value: float) -> None:
    again = parse_number(format_number(value))
    assert again == value or (math.isnan(again) and math.isnan(value))


@given(st.text(), st.lists(st.text(max_size=8), max_size=4))
def test_whatever_a_table_holds_the_error_is_one_of_ours(header: str, rows: list[str]) -> None:
    with tempfile.NamedTemporaryFile(suffix=".tsv") as table:
        text = "\n".join([f"sample\t{header}", *rows])
        Path(table.name).write_text(text, encoding="utf-8", errors="replace")
        try:
            found = read_phenotypes(Path(table.name), [])
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 (either outcome is fine)
        else:
            assert found.values.shape == (0, len(found.names))


def test_what_a_run_does_not_use_may_be_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "y.tsv"
    path.write_text("sample\tgout\tbmi\tpopulation\na\t1\tNA\tGBR\nb\t0\t23.5\tFIN\n")
    table = read_phenotypes(path, ["a", "b"])
    assert table.column("gout", where=path).tolist() == [1, 0]
    with pytest.raises(InputError, match="column 'bmi' holds no number for 1 of 2 people; complete it"):
        table.column("bmi", where=path)
    with pytest.raises(InputError, match="has no column 'height', which the run declares; add it"):
        table.column("height", where=path)
    assert "23" not in repr(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample\tphenotype\na\t1\n", r"4 of 5 samples have no phenotype \(b, c, d, \.\.\.\)"),
        ("sample\tphenotype\na\t1\nb\t7\n", "line 3 has no phenotype 0 or 1"),
        ("sample\tphenotype\na\n", "line 2 has no phenotype 0 or 1"),
        ("sample\tphenotype\na\t1\na\t0\n", "line 3 repeats sample a"),
        ("a\t1\n", "first line is not sample<TAB>phenotype, or sample<TAB>name1<TAB>name2"),
        ("sample\n", "first line is not"),
        ("sample\tgout\tgout\n", "cannot have a column 'gout' here; rename it"),
        ("sample\tgout\trole\n", "cannot have a column 'role' here"),
        ("sample\tgout\tbmi\na\t7\n", "line 2 has 2 columns, the header 3"),
        ("", "is empty, or its first line is; begin with the header sample<TAB>phenotype"),
        ("sample phenotype\na 1\n", "columns are separated by ' '; save it with tabs between columns"),
        ("sample\tphenotype\nX\t1\n", "5 of 5 samples have no phenotype .*; nobody of the genotypes stands in it"),
        ("sample\tphenotype\nA\t1\n c \t0\n", "5 of 5 samples .*; but for case or blanks 2 of them stand in it: call"),
    ],
)
def test_bad_table_is_one_line_without_values(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "y.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_phenotypes(path, list("abcde"))
    assert "7" not in str(caught.value).replace(str(path), "")
    with pytest.raises(InputError, match="does not exist"):
        read_phenotypes(tmp_path / "none.tsv", [])
