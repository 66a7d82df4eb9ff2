"""What a demo refuses before it touches anything; tests/cli/test_demo.py runs whole ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from afml.core.errors import AfmlError, ConfigError, InputError
from afml.trial.demo import MARK, Demo
from afml.trial.settings import DemoSettings, Genomes, Rounds, Traits

GENOMES = Genomes(vcf=None, people=None, panel_people=100, nodes=3, sites=120)
TRAITS = Traits(binary=1, quantitative=0, causal=5, heritability=0.5)


@pytest.fixture
def settings(tmp_path: Path) -> DemoSettings:
    return DemoSettings(tmp_path / "out", GENOMES, TRAITS, Rounds(3, 1, 4, 0.9, "distributed"), 1, False)


def test_it_starts_from_nothing(settings: DemoSettings) -> None:
    Demo(settings)
    (settings.out / "report.json").write_text("of an earlier demo")
    made = Demo(settings)
    assert [path.name for path in settings.out.iterdir()] == [MARK]
    assert made.report == settings.out / "report.json"


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"genomes": replace(GENOMES, vcf=Path("all.vcf.gz"))}, InputError, "go together"),
        ({"genomes": replace(GENOMES, nodes=2)}, ConfigError, "2 nodes cannot share noise"),
        ({"genomes": replace(GENOMES, panel_people=2500)}, AfmlError, "simulated cohort"),
        ({"genomes": replace(GENOMES, vcf=Path("none.vcf.gz"), people=Path("none"))}, InputError, "none.vcf.gz"),
        ({"traits": replace(TRAITS, binary=0)}, ConfigError, "0 phenotypes"),
        ({"traits": replace(TRAITS, quantitative=16)}, ConfigError, "17 phenotypes"),
    ],
)
def test_whatever_is_refused_leaves_the_last_demo(
    settings: DemoSettings, changes: dict[str, object], error: type[AfmlError], says: str
) -> None:
    Demo(settings)
    kept = settings.out / "report.json"
    kept.write_text("of an earlier demo")
    with pytest.raises(error, match=says):
        Demo(replace(settings, **changes))  # type: ignore[arg-type]
    assert kept.exists()


def test_a_folder_that_no_demo_made_is_left_alone(settings: DemoSettings) -> None:
    settings.out.mkdir()
    (settings.out / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not made by a demo"):
        Demo(settings)
    assert (settings.out / "thesis.tex").exists()


def test_a_file_is_no_folder(settings: DemoSettings) -> None:
    settings.out.write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        Demo(settings)


def test_rounds_of_both_phases_are_counted(settings: DemoSettings) -> None:
    assert settings.rounds.total == 4


def test_one_binary_phenotype_needs_no_declaration() -> None:
    assert TRAITS.default
    assert not replace(TRAITS, quantitative=1).default
    assert not replace(TRAITS, binary=2).default


@pytest.fixture
def cohorts(tmp_path: Path) -> Path:
    folder = tmp_path / "cohorts"
    folder.mkdir()
    for name in ("node-1.bed", "node-2.bed", "node-3.bed", "panel.vcf.gz", "people.tsv"):
        (folder / name).touch()
    return folder


def test_cohorts_that_are_there_are_used_where_they_are(settings: DemoSettings, cohorts: Path, tmp_path: Path) -> None:
    genomes = replace(GENOMES, cohorts=cohorts)
    Demo(replace(settings, genomes=genomes))
    assert genomes.calls(2, tmp_path) == cohorts / "node-2.bed"
    assert genomes.calls("panel", tmp_path) == cohorts / "panel.vcf.gz"
    assert GENOMES.calls(2, tmp_path) == tmp_path / "node-2.vcf.gz"


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"nodes": 4}, "node-4.bed"), ({"vcf": Path("all.vcf.gz"), "people": Path("people.tsv")}, "give one of them")],
)
def test_cohorts_that_do_not_fit_are_refused(
    settings: DemoSettings, cohorts: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Demo(replace(settings, genomes=replace(GENOMES, cohorts=cohorts, **changes)))  # type: ignore[arg-type]


def test_covariates_are_declared() -> None:
    assert not replace(TRAITS, covariates=True).default
