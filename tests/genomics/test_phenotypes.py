"""Phenotype tables and the liability-threshold simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError
from afml.genomics.phenotypes import read_phenotypes, simulate_phenotype, write_phenotypes
from tests.simulated import simulate_dosage


def test_round_trip_in_the_order_of_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "y.tsv"
    write_phenotypes(path, ["a", "b", "c"], np.array([1, 0, 1], dtype=np.int8))
    assert path.read_text() == "sample\tphenotype\na\t1\nb\t0\nc\t1\n"
    assert read_phenotypes(path, ["c", "b"]).tolist() == [1, 0]
    assert read_phenotypes(path, ["c", "b"]).dtype == np.int8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample\tphenotype\na\t1\n", r"4 of 5 samples have no phenotype \(b, c, d, \.\.\.\)"),
        ("sample\tphenotype\na\t1\nb\t7\n", "line 3 has no phenotype 0 or 1"),
        ("sample\tphenotype\na\n", "line 2 has no phenotype 0 or 1"),
        ("sample\tphenotype\na\t1\na\t0\n", "line 3 repeats sample a"),
        ("a\t1\n", "first line is not 'sample<TAB>phenotype'"),
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
