"""Stored tables and genotypes are read back as they were, and what does not fit is refused in one line."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.data.kind import DATA_KINDS
from afml.data.people import PeopleTable
from afml.data.prepared import Prepared
from afml.genomics.kind import GenotypeOptions
from afml.genomics.phenotypes import write_phenotypes
from afml.tasks.statistics.kind import STATISTICS
from afml.tasks.statistics.settings import StatisticsSettings
from afml.training.planning import Rounds, Terms
from tests.simulated import simulate_dosage, write_vcf
from tests.tasks.statistics.simulated import run_of

SCHEMA = {
    "person": "patient",
    "targets": ["ill"],
    "columns": [
        {"name": "age", "low": 0.0, "high": 100.0},
        {"name": "stage", "kind": "category", "categories": ["I", "II", "III"], "missing": "indicator", "fill": "I"},
        {"name": "dose", "centre": 5.0, "spread": 2.0, "missing": "indicator", "fill": 5.0},
        {"name": "ill", "kind": "binary"},
    ],
}
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "low": 0, "high": 100, "bins": 5},
    {"name": "stage", "kind": "category", "categories": ["I", "II", "III"], "missing": True},
    {"name": "dose", "low": 0, "high": 10, "bins": 4, "missing": True},
    {"name": "ill", "kind": "binary"},
]
ROWS = [
    ("a", "30", "I", "4", "0"),
    ("b", "50", "III", "", "1"),
    ("a", "40", "", "6.5", "0"),
    ("c", "70.5", "II", "99", "1"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("table")
    (root / "schema.json").write_text(json.dumps(SCHEMA))
    with (root / "table.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("patient", "age", "stage", "dose", "ill"), *ROWS])
    kind = DATA_KINDS.get("table")
    options = kind.options.model_validate({"table": root / "table.csv", "schema_file": root / "schema.json"})
    return stored(kind, options, root)


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("genotypes")
    dosage = simulate_dosage(50, 24, seed=3)
    write_vcf(root / "panel.vcf.gz", dosage[:30])
    names = write_vcf(root / "own.vcf.gz", dosage[30:], samples=[f"N{person}" for person in range(20)])
    values = np.stack([np.arange(20) % 2, np.linspace(40, 59, 20)], axis=1)
    write_phenotypes(root / "own.tsv", names, values, ("ill", "age"))
    options = GenotypeOptions(
        vcf=root / "own.vcf.gz", panel_vcf=root / "panel.vcf.gz", phenotypes=root / "own.tsv", sites=16
    )
    return stored(DATA_KINDS.get("genotypes"), options, root)


def stored(kind: Any, options: Any, root: Path) -> Prepared:
    (root / "data").mkdir()
    built = kind.build(root / "data", options, lambda note: None)
    enrolled = np.ones(len(built.samples), np.bool_)
    PeopleTable(built.samples, built.columns, enrolled).save(root / "people.tsv")
    return Prepared(root / "data", root / "people.tsv", built.data)


def run(prepared: Prepared, settings: dict[str, Any]) -> Any:
    made = run_of(settings, {1: 20, 2: 20, 3: 20}, prepared.data.features, kind=prepared.data.kind)
    return made.model_copy(update={"data": prepared.data})


def column(prepared: Prepared, name: str) -> NDArray[np.float64]:
    people = STATISTICS.enrolled(run(prepared, {"columns": COLUMNS}), prepared)
    return people.read(np.arange(len(people))).cells[name]


def test_a_table_comes_back_in_its_own_units(table: Prepared) -> None:
    people = STATISTICS.enrolled(run(table, {"columns": COLUMNS}), table)
    assert people.read(np.arange(3)).rows.tolist() == [2, 1, 1]
    np.testing.assert_allclose(column(table, "age"), [30, 40, 50, 70.5], rtol=1e-6)
    np.testing.assert_allclose(column(table, "stage"), [0, np.nan, 2, 1])
    np.testing.assert_allclose(column(table, "dose"), [4, 6.5, np.nan, 13], rtol=1e-6)  # 99 was pulled in to 5 + 4 * 2
    np.testing.assert_allclose(column(table, "ill"), [0, 0, 1, 1])
    assert people.read(np.array([2])).cells["ill"].tolist() == [1.0]


def test_genotypes_come_with_the_columns_of_their_table(genotypes: Prepared) -> None:
    settings = {"sites": ["alleles"], "columns": [{"name": "age", "low": 0, "high": 100}]}
    people = STATISTICS.enrolled(run(genotypes, settings), genotypes)
    read = people.read(np.array([3, 1]))
    assert read.dosage.shape == (2, 16)
    assert read.cells["age"].tolist() == [43, 41]
    assert people.digest() != STATISTICS.enrolled(run(genotypes, {}), genotypes).digest()
    task = STATISTICS.task(run(genotypes, settings), genotypes.public)
    assert task.length(0) == len(task.vector(0)) == 16 + 1 + 1 + 1 + 20


@pytest.mark.parametrize(
    ("index", "change", "said"),
    [
        (0, {"name": "height"}, "has no column 'height'"),
        (3, {"kind": "number", "low": 0, "high": 1}, "says that column 'ill' is binary, the run says number"),
        (1, {"categories": ["I", "II"]}, "lists other categories of column 'stage'"),
        (2, {"missing": False}, "lets column 'dose' be empty"),
    ],
)
def test_columns_that_are_not_the_schemas_are_refused(
    table: Prepared, index: int, change: dict[str, Any], said: str
) -> None:
    columns = [dict(one) for one in COLUMNS]
    columns[index] |= change
    with pytest.raises(ConfigError, match=said):
        STATISTICS.task(run(table, {"columns": columns}), table.public)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"name": "height", "low": 0, "high": 1}, "has no column 'height'"),
        ({"name": "age", "kind": "binary"}, "column 'age' is neither 0 nor 1 for 20 of 20 people"),
    ],
)
def test_a_table_beside_genotypes_without_the_column_is_refused(
    genotypes: Prepared, column: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        STATISTICS.enrolled(run(genotypes, {"columns": [column]}), genotypes)


def test_another_panel_is_refused(genotypes: Prepared) -> None:
    other = run(genotypes, {})
    with pytest.raises(ConfigError, match="site panel differs"):
        STATISTICS.task(other.model_copy(update={"data": other.data.model_copy(update={"fingerprint": "ff"})}),
                        genotypes.public)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": [{"name": "a", "low": 1, "high": 1}]}, "low is not below high"),
        ({"columns": [{"name": "a"}]}, "a number, and nothing else, has a low and a high"),
        ({"columns": [{"name": "a", "kind": "binary", "low": 0, "high": 1}]}, "has a low and a high"),
        ({"columns": [{"name": "a", "kind": "category"}]}, "lists its different categories"),
        ({"columns": [{"name": "a", "kind": "binary"}], "cross": [["a", "b"]]}, "name two or three of the columns"),
        ({"columns": [{"name": "a\x1b[2J", "kind": "binary"}]}, "can be printed"),
        ({"columns": [{"name": "a", "kind": "binary"}] * 2, "cross": []}, "named twice"),
        ({"sites": ["genotypes"]}, "genotypes need alleles"),
        ({"quantiles": [0.5, 0.2]}, "in ascending order"),
        ({"most_missing": float("nan")}, "finite"),
        ({"colums": []}, "colums"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        STATISTICS.settings(settings)


def test_the_page_shows_settings_that_are_settings() -> None:
    page = (Path(__file__).parents[3] / "docs" / "STATISTICS.md").read_text()
    (sample,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (cross,) = re.findall(r"`(cross = .*?)`", page)
    shown = STATISTICS.settings(tomllib.loads(f"{cross}\n{sample}"))
    assert isinstance(shown, StatisticsSettings)
    assert shown.cross == (("stage", "ill"),)
    assert shown.site_figures("genotypes") == ("alleles", "genotypes", "missing")


def test_a_run_without_anything_to_release_is_refused(table: Prepared) -> None:
    for settings, said in (({}, "nothing is released"), ({"sites": ["alleles"]}, "figures of sites are asked for")):
        given = STATISTICS.settings(settings).model_dump(mode="json")
        with pytest.raises(ConfigError, match=said):
            STATISTICS.plan(given, table.data, Rounds(), Terms())
