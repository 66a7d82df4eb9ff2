"""Simulated traits: by sites and covariates, in memory and file by file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.genomics.liability import COVARIATE_SHARE, Causes, Moments, simulate_liability, simulate_phenotype
from afml.genomics.phenotypes import read_phenotypes
from afml.genomics.simulate import Liability, simulate_columns
from afml.masking.settings import RiskSettings
from afml.trial.traits import declared_traits, simulate_traits
from tests.simulated import simulate_dosage, write_vcf


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


def slow_moments(dosage: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every site, one by one."""
    called = [site[site >= 0].astype(float) for site in dosage.T]
    return np.array([site.mean() for site in called]), np.array([site.std() for site in called])


def test_moments_of_blocks_are_those_of_all_people() -> None:
    dosage = simulate_dosage(300, 40, seed=2)
    dosage[np.random.default_rng(1).random(dosage.shape) < 0.05] = -1
    found, whole = Moments.of([dosage[:7], dosage[7:200], dosage[200:]]), Moments.of([dosage])
    np.testing.assert_array_equal(found.mean, whole.mean)
    np.testing.assert_array_equal(found.deviation, whole.deviation)
    mean, deviation = slow_moments(dosage)
    np.testing.assert_allclose(whole.mean, mean)
    np.testing.assert_allclose(whole.deviation, deviation, atol=1e-7)


def test_covariates_cause_their_share_and_leave_the_rest_as_it_was() -> None:
    dosage = simulate_dosage(4000, 60, seed=1)
    rng = np.random.default_rng(5)
    covariates = rng.standard_normal((4000, 2))
    causes = Causes(Moments.of([dosage]), causal=5, heritability=0.5, seed=3)
    trait = causes.liability(dosage[:, causes.sites], covariates)
    fitted = covariates @ np.linalg.lstsq(covariates, trait, rcond=None)[0]
    assert fitted.var() / trait.var() == pytest.approx(COVARIATE_SHARE, abs=0.03)
    alone, sites = simulate_liability(dosage, causal=5, heritability=0.5, seed=3)
    np.testing.assert_array_equal(sites, causes.sites)
    assert np.corrcoef(alone, trait)[0, 1] > 0.9
    with pytest.raises(ConfigError, match="no room for covariates"):
        Causes(Moments.of([dosage]), causal=5, heritability=0.95, seed=3).liability(dosage[:, :5], covariates)


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], Path, NDArray[np.int8]]:
    """Two institutions' VCFs, a panel's, and the institutions' people together."""
    dosage = simulate_dosage(160, 30, seed=4)
    names = [f"S{person}" for person in range(160)]
    paths = [tmp_path / f"{name}.vcf.gz" for name in ("one", "two", "panel")]
    for path, rows in zip(paths, (slice(0, 40), slice(40, 100), slice(100, 160)), strict=True):
        write_vcf(path, dosage[rows], samples=names[rows])
    return paths[:2], paths[2], dosage[:100]


def test_traits_of_files_are_those_of_their_people(
    files: tuple[list[Path], Path, NDArray[np.int8]], tmp_path: Path
) -> None:
    vcfs, panel, _ = files
    (tmp_path / "scratch").mkdir()
    made = simulate_columns(vcfs, panel, [True, False], Liability(20, 4, 0.5, 7), tmp_path / "scratch")
    assert made.samples == [f"S{person}" for person in range(100)]
    assert made.covariates.shape == (100, 0)
    assert made.traits[:, 0].mean() == 0.5
    assert made.traits[:, 1].std() == pytest.approx(1, abs=0.3)


def test_covariates_stand_in_table_and_declaration(
    files: tuple[list[Path], Path, NDArray[np.int8]], tmp_path: Path
) -> None:
    vcfs, panel, _ = files
    out = tmp_path / "made" / "phenotypes.tsv"
    model = Liability(20, 4, 0.5, 7, covariates=True)
    told = simulate_traits(vcfs, panel, out, declared_traits(1, 1), model, None)  # type: ignore[arg-type]
    assert told.cases == {"phenotype": 50, "trait": None}
    table = read_phenotypes(out, ["S3", "S99"])
    assert table.names == ("phenotype", "trait", "sex", "age")
    assert set(table.values[:, 2]) <= {0.0, 1.0}
    assert ((table.values[:, 3] >= 40) & (table.values[:, 3] < 70)).all()
    risk = RiskSettings.load(out.with_suffix(".risk.json"))
    assert [column.name for column in risk.covariates] == ["sex", "age"]
