"""Phenotype tables and the liability-threshold simulation."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, InputError
from afml.genomics.phenotypes import (
    format_number,
    parse_number,
    read_phenotypes,
    simulate_liability,
    simulate_phenotype,
    write_phenotypes,
)
from tests.simulated import simulate_dosage


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
        ("", "first line is not"),
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


def test_simulation_is_balanced_seeded_and_heritable() -> None:
    dosage = simulate_dosage(2000, 200, seed=1)
    y, causal = simulate_phenotype(dosage, causal=10, heritability=0.5, seed=3)
    again, _ = simulate_phenotype(dosage, causal=10, heritability=0.5, seed=3)
    assert np.array_equal(y, again)
    assert y.dtype == np.int8
    assert len(set(causal.tolist())) == 10
    assert y.mean() == 0.5

    def explained(heritability: float) -> float:
        phenotype, sites = simulate_phenotype(dosage, causal=10, heritability=heritability, seed=3)
        design = np.column_stack([np.ones(len(dosage)), dosage[:, sites]])
        fitted = design @ np.linalg.lstsq(design, phenotype, rcond=None)[0]
        return float(np.corrcoef(fitted, phenotype)[0, 1] ** 2)

    # A threshold at the median keeps 4 phi(0)^2 = 0.64 of h2 on the 0/1 scale (Dempster, Lerner 1950).
    assert explained(0.5) == pytest.approx(0.32, abs=0.05)
    assert explained(1.0) == pytest.approx(0.64, abs=0.05)
    assert explained(0.0) < 0.02


def test_the_liability_itself_is_a_quantitative_trait() -> None:
    dosage = simulate_dosage(500, 60, seed=1)
    trait, causal = simulate_liability(dosage, causal=5, heritability=0.5, seed=3)
    cases, same = simulate_phenotype(dosage, causal=5, heritability=0.5, seed=3)
    np.testing.assert_array_equal(cases, trait > np.median(trait))
    np.testing.assert_array_equal(causal, same)
    assert (trait.mean(), trait.std()) == (pytest.approx(0, abs=0.15), pytest.approx(1, abs=0.15))


def test_missing_calls_and_constant_sites_are_no_causes() -> None:
    dosage = simulate_dosage(300, 40, seed=1)
    dosage[:, :20] = 1
    dosage[5, 25] = -1
    _, causal = simulate_phenotype(dosage, causal=20, heritability=0.5, seed=1)
    assert causal.min() >= 20
    with pytest.raises(ConfigError, match="21 causal sites, but 20 sites vary"):
        simulate_phenotype(dosage, causal=21, heritability=0.5, seed=1)
    with pytest.raises(ConfigError, match="outside"):
        simulate_phenotype(dosage, causal=5, heritability=1.5, seed=1)
