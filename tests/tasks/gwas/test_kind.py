"""What a scan refuses before anything is spent, and how it is opened at an institution."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.consortium.card import DataAgreement
from afml.core.errors import ConfigError, InputError
from afml.data.kind import DATA_KINDS
from afml.data.people import PeopleTable
from afml.data.prepared import Prepared
from afml.genomics.kind import GenotypeOptions
from afml.genomics.phenotypes import write_phenotypes
from afml.tasks.gwas.kind import GWAS
from afml.tasks.gwas.settings import GwasSettings
from afml.training.planning import Rounds, Terms
from tests.simulated import simulate_dosage, write_vcf
from tests.tasks.gwas.simulated import SETTINGS, run_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("an institution")
    dosage = simulate_dosage(50, 24, seed=3)
    write_vcf(root / "panel.vcf.gz", dosage[:30])
    names = write_vcf(root / "own.vcf.gz", dosage[30:], samples=[f"N{person}" for person in range(20)])
    values = np.stack([np.arange(20) % 2, np.linspace(150, 188, 20), np.full(20, np.nan)], axis=1)
    values[18:, 0] = 7  # of people who are held out
    write_phenotypes(root / "own.tsv", names, values, ("ill", "height", "empty"))
    options = GenotypeOptions(
        vcf=root / "own.vcf.gz", panel_vcf=root / "panel.vcf.gz", phenotypes=root / "own.tsv", sites=16
    )
    (root / "data").mkdir()
    built = DATA_KINDS.get("genotypes").build(root / "data", options, lambda note: None)
    PeopleTable(built.samples, built.columns, np.arange(20) < 18).save(root / "people.tsv")
    return Prepared(root / "data", root / "people.tsv", built.data)


def run(prepared: Prepared, settings: dict[str, Any]) -> Any:
    made = run_of(settings, {1: 18, 2: 18, 3: 18}, sites=16)
    return made.model_copy(update={"data": prepared.data})


def test_an_institution_opens_its_enrolled_people_and_its_held_out_ones(prepared: Prepared) -> None:
    asked = run(prepared, SETTINGS | {"trait": {"name": "height", "kind": "quantitative", "centre": 170, "spread": 10}})
    people = GWAS.enrolled(asked, prepared)
    assert len(people) == 18
    np.testing.assert_allclose(people.trait, (np.linspace(150, 188, 20)[:18] - 170) / 10)
    assert people.dosage(np.array([3, 0])).shape == (2, 16)
    assert len(GWAS.held_out(asked, prepared)) == 2
    task = GWAS.task(asked, prepared.public)
    task.load_public(task.train_public())
    assert [task.length(phase) for phase in range(3)] == list(GWAS.lengths(asked)) == [10, 18, 3]


@pytest.mark.parametrize(
    ("trait", "covariates", "said"),
    [
        ({"name": "weight"}, [], "has no column 'weight', which the run declares"),
        ({"name": "height"}, [], "column 'height' is neither 0 nor 1 for 18 of 18 people"),
        ({"name": "ill"}, [{"name": "empty"}], "column 'empty' holds no number for 18 of 18 people"),
    ],
)
def test_people_whose_table_is_not_the_runs_are_refused(
    prepared: Prepared, trait: dict[str, Any], covariates: list[Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        GWAS.enrolled(run(prepared, SETTINGS | {"trait": trait, "covariates": covariates}), prepared)
    assert "188" not in str(refused.value)


def test_another_site_panel_or_more_components_than_it_has_are_refused(prepared: Prepared, tmp_path: Path) -> None:
    other = run_of(SETTINGS, {1: 18, 2: 18, 3: 18}, sites=16, fingerprint="another")
    with pytest.raises(ConfigError, match="site panel differs from the run's"):
        GWAS.task(other, prepared.public)
    with pytest.raises(ConfigError, match=r"no 16 components.*set components to 15 at most"):
        GWAS.task(run(prepared, SETTINGS | {"components": 16}), prepared.public)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "trait"),
        ({"trait": {"name": "a"}, "covariates": [{"name": "a"}]}, "are different columns"),
        ({"trait": {"name": "a", "centre": 3.0}}, "is binary and has a centre or spread"),
        ({"trait": {"name": "a"}, "components": 21}, "components"),
        ({"trait": {"name": "a"}, "exact": True}, "exact"),
        ({"trait": {"name": "a"}, "residual_bound": float("nan")}, "residual_bound"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        GWAS.settings(given)
    assert "\n" not in str(refused.value)


def test_the_page_shows_settings_that_are_settings() -> None:
    page = (Path(__file__).parents[3] / "docs" / "GWAS.md").read_text()
    (sample,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shown = GWAS.settings(tomllib.loads(sample))
    assert isinstance(shown, GwasSettings)
    assert (shown.trait.name, shown.covariates[0].name, shown.followed) == ("ldl", "age", 200)


def test_a_nearly_exact_scan_is_refused_whatever_its_budget() -> None:
    exact = run_of(SETTINGS, {1: 9, 2: 9, 3: 9}, ple=50.0)
    with pytest.raises(ConfigError, match="nearly exact"):
        GWAS.check(exact)


def test_a_share_that_leaves_nothing_is_one_line() -> None:
    data = DataAgreement(kind="genotypes", fingerprint="00", features=50)
    given = GWAS.settings({"trait": {"name": "ill"}, "cross_share": 1e-300}).model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"release cross would have noise of .*; give it a larger share"):
        GWAS.plan(given, data, Rounds(), Terms())


def test_phases_that_are_not_a_scans_are_refused() -> None:
    right = run_of(SETTINGS, {1: 9, 2: 9, 3: 9})
    GWAS.check(right)
    twice = right.phases[1].model_copy(update={"rounds": 2})
    for wrong in (
        {"phases": right.phases[1:]},
        {"phases": (right.phases[0], twice, right.phases[2])},
        {"public_part": False, "phases": tuple(p.model_copy(update={"needs_public": False}) for p in right.phases)},
    ):
        with pytest.raises(ConfigError):
            GWAS.check(right.model_copy(update=wrong))


def test_the_releases_share_the_budget_as_the_settings_say() -> None:
    data = run_of(SETTINGS, {1: 9, 2: 9, 3: 9}).data.model_copy(update={"features": 10_000})
    settings = GWAS.settings(SETTINGS).model_dump(mode="json")
    plan = GWAS.plan(settings, data, Rounds(), Terms(ple_sigma=0.9, reserve_attempts=0))
    assert [phase.parameters for phase in plan.phases] == [10, 10_002, 202]
    mu = np.array([1 / phase.noise_multiplier**2 for phase in plan.phases])
    np.testing.assert_allclose(mu / mu.sum(), [0.05, 0.7125, 0.2375], rtol=1e-3)
    assert np.sqrt(mu.sum()) == pytest.approx(0.9, rel=1e-3)
    with pytest.raises(ConfigError, match="a release has no such number"):
        GWAS.plan(settings, data, Rounds(clip_norm=2.0), Terms())
