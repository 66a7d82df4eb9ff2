"""Traits on the command line: simulated, prepared, declared, and refused in one line where they do not fit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.data.columns import Column
from afml.data.people import PeopleTable
from afml.genomics.phenotypes import read_phenotypes, write_phenotypes
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.settings import FOCUS, GAME, RISK, RiskSettings, Trait
from afml.trial.kits import make_kits
from node.workspace import Holdings, Workspace, load_holdings
from tests.cli.zygote import Zygote
from tests.holdout import fixed_holdout
from tests.simulated import simulate_dosage, write_vcf

PEOPLE, PANEL, SITES, NODES = 40, 50, 24, 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Path:
    """Three prepared institutions whose tables `afml phenotypes` made."""
    made = tmp_path_factory.mktemp("traits")
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 8, seed=3)
    write_vcf(made / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    make_kits(made / "kits", "test", NODES)
    files = []
    for node in range(1, NODES + 1):
        files.append(made / f"node-{node}.vcf.gz")
        part = dosage[PANEL + (node - 1) * PEOPLE :][:PEOPLE]
        write_vcf(files[-1], part, samples=[f"N{node}-{i}" for i in range(PEOPLE)])
    done = afml("phenotypes", *files, "--panel-vcf", made / "panel.vcf.gz", "--out", made / "phenotypes.tsv",
                "--sites", SITES, "--causal", 4, "--phenotypes", 2, "--quantitative", 1)  # fmt: skip
    assert done.code == 0, done.err
    for node, file in enumerate(files, start=1):
        fixed_holdout(made / f"work-{node}")
        done = afml("prepare", "--kit", made / "kits" / f"node-{node}", "--vcf", file, "--panel-vcf",
                    made / "panel.vcf.gz", "--phenotypes", made / "phenotypes.tsv", "--work", made / f"work-{node}",
                    "--sites", SITES)  # fmt: skip
        assert done.code == 0, done.err
    return made


def configure(root: Path, afml: Zygote, out: Path, *options: object) -> RunConfig:
    cards = [root / f"work-{node}" / "card.json" for node in range(1, NODES + 1)]
    done = afml("configure", *cards, "--kit", root / "kits" / "coordinator", "--out", out, "--rounds", 2,
                "--game-rounds", 1, *options)  # fmt: skip
    assert done.code == 0, done.err
    return RunConfig.load(out)


def with_risk(run: RunConfig, risk: RiskSettings) -> RunConfig:
    """The same run with other traits; nobody trains it here."""
    bare = run.model_copy(update={"phases": ()})
    return with_settings(bare, masking_settings(run).model_copy(update={RISK: risk}))


@pytest.fixture(scope="module")
def run(root: Path, afml: Zygote) -> RunConfig:
    return configure(root, afml, root / "plain.json", "--phenotypes", 2)


def people_of(holdings: Holdings) -> Enrolled:
    assert isinstance(holdings.enrolled, Enrolled)
    return holdings.enrolled


def test_simulated_traits_are_two_of_one_kind_and_one_of_the_other(root: Path) -> None:
    samples = [f"N2-{i}" for i in range(PEOPLE)]
    table = read_phenotypes(root / "phenotypes.tsv", samples)
    assert table.names == ("phenotype1", "phenotype2", "trait")
    assert set(np.unique(table.values[:, :2])) == {0.0, 1.0}
    assert not np.array_equal(table.values[:, 0], table.values[:, 1])
    assert len(np.unique(table.values[:, 2])) == PEOPLE
    about = json.loads((root / "phenotypes.json").read_text())
    assert about == {"simulated": True, "causal_sites": 4, "heritability": 0.5, "seed": 1}
    declared = RiskSettings.load(root / "phenotypes.risk.json").traits
    assert [(trait.name, trait.kind) for trait in declared][2] == ("trait", "quantitative")


def test_the_work_folder_keeps_every_column(root: Path) -> None:
    people = PeopleTable.load(Workspace(root / "work-2").people)
    table = read_phenotypes(root / "phenotypes.tsv", people.samples)
    assert people.columns.names == table.names
    np.testing.assert_array_equal(people.columns.values, table.values)
    assert (root / "work-2" / "people.tsv").stat().st_mode & 0o777 == 0o600


def test_a_run_declares_its_traits_and_the_lengths_they_need(root: Path, afml: Zygote, tmp_path: Path) -> None:
    plain = configure(root, afml, tmp_path / "two.json", "--phenotypes", 2)
    assert masking_settings(plain).risk == RiskSettings(phenotypes=2, focus=FOCUS)
    assert '"traits"' not in (tmp_path / "two.json").read_text()
    named = configure(root, afml, tmp_path / "all.json", "--risk", root / "phenotypes.risk.json")
    assert (plain.phases[0].parameters, named.phases[0].parameters) == (2 * (SITES + 1), 3 * (SITES + 1))
    assert [masking_settings(config).release.patterns for config in (plain, named)] == [24, 24]
    for config in (plain, named):
        people = people_of(load_holdings(Workspace(root / "work-1"), config))
        assert people.phenotypes == masking_settings(config).risk.phenotypes


def test_the_documented_declarations_are_such(root: Path, afml: Zygote, tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "DATA.md").read_text()
    samples = re.findall(r"```toml\n(.*?)```", document, flags=re.S)
    sample, attributes = [text for text in samples if "[[traits]]" in text]
    (tmp_path / "risk.toml").write_text(sample)
    config = configure(root, afml, tmp_path / "run.json", "--risk", tmp_path / "risk.toml")
    risk = masking_settings(config).risk
    assert risk.traits[0] == Trait(name="type 2 diabetes")
    assert risk.traits[1].kind == "quantitative"
    assert config.phases[0].parameters == 2 * (SITES + 1 + len(risk.covariates)) == 2 * (SITES + 3)
    (tmp_path / "attributes.toml").write_text(attributes)
    config = configure(root, afml, tmp_path / "attributes.json", "--risk", tmp_path / "attributes.toml")
    risk = masking_settings(config).risk
    assert [one.name for one in risk.attributes] == ["super_pop", "age"]
    assert config.phases[0].parameters == (1 + 3) * (SITES + 1)  # the disease, and classes of age against the rest
    assert risk.scores == 4 + 4


def test_a_run_without_traits_has_no_risk_rounds(root: Path, afml: Zygote, tmp_path: Path) -> None:
    (tmp_path / "risk.toml").write_text("kept_components = 2\n")
    config = configure(root, afml, tmp_path / "run.json", "--risk", tmp_path / "risk.toml")
    assert [phase.name for phase in config.phases] == [GAME]
    cards = [root / f"work-{node}" / "card.json" for node in range(1, NODES + 1)]
    line = afml("configure", *cards, "--kit", root / "kits" / "coordinator", "--out", tmp_path / "no.json",
                "--game-rounds", 0, "--risk", tmp_path / "risk.toml").complaint()  # fmt: skip
    assert "nothing private is trained; ask for at least one" in line
    assert not (tmp_path / "no.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[traits]]\nname = "role"\n', "a column cannot be called 'role'"),
        ('phenotypes = 2\n[[traits]]\nname = "gout"\n', "1 traits are declared and 2 phenotypes"),
        ('[[covariates]]\nname = "age"\nspread = -1\n', "covariates.0.spread"),
        ('[[traits]]\nname = "gout"\nkind = "ordinal"\n', "traits.0.kind"),
        ('[[attributes]]\nname = "sex"\nclasses = ["f", "m"]\nedges = [1, 2]\n', "2 classes and 2 edges"),
        ('[[attributes]]\nname = "sex"\nclasses = ["f", "m"]\nsource = "components"\n', "how many in kept_components"),
    ],
)
def test_a_bad_declaration_is_refused(root: Path, afml: Zygote, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "risk.toml").write_text(text)
    line = afml("configure", root / "work-1" / "card.json", "--kit", root / "kits" / "coordinator", "--out",
                tmp_path / "run.json", "--risk", tmp_path / "risk.toml").complaint()  # fmt: skip
    assert message in line
    assert str(tmp_path / "risk.toml") in line


def test_people_may_be_prepared_without_a_table(root: Path, afml: Zygote, run: RunConfig, tmp_path: Path) -> None:
    done = afml("prepare", "--kit", root / "kits" / "node-1", "--vcf", root / "node-1.vcf.gz", "--panel-vcf",
                root / "panel.vcf.gz", "--work", tmp_path / "work", "--sites", SITES)  # fmt: skip
    assert done.code == 0, done.err
    without = with_risk(run, RiskSettings(kept_components=2))
    people = people_of(load_holdings(Workspace(tmp_path / "work"), without))
    assert people.phenotype.shape == (len(people), 0)


def test_a_table_with_a_bad_column_is_refused_before_anything_is_kept(root: Path, afml: Zygote, tmp_path: Path) -> None:
    samples = [f"N1-{i}" for i in range(PEOPLE)]
    write_phenotypes(tmp_path / "bad.tsv", samples, np.zeros((PEOPLE, 2)), ["role", "gout"])
    line = afml("prepare", "--kit", root / "kits" / "node-1", "--vcf", root / "node-1.vcf.gz", "--panel-vcf",
                root / "panel.vcf.gz", "--phenotypes", tmp_path / "bad.tsv", "--work", tmp_path / "work",
                "--sites", SITES).complaint()  # fmt: skip
    assert "cannot have a column 'role' here; rename it" in line
    assert not (tmp_path / "work").exists()


def test_a_demo_serves_at_least_one_phenotype(tmp_path: Path, afml: Zygote) -> None:
    line = afml("demo", "--out", tmp_path / "out", "--phenotypes", 0).complaint()
    assert "a release cannot serve 0 phenotypes; ask for 1 to 16 in all" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("binary", "quantitative"), [(17, 0), (10, 10), (0, 17), (0, 0)])
def test_more_traits_than_a_run_learns_are_not_simulated(
    root: Path, afml: Zygote, tmp_path: Path, binary: int, quantitative: int
) -> None:
    out = tmp_path / "new" / "phenotypes.tsv"
    line = afml("phenotypes", root / "node-1.vcf.gz", "--panel-vcf", root / "panel.vcf.gz", "--out", out,
                "--phenotypes", binary, "--quantitative", quantitative).complaint()  # fmt: skip
    assert line == (
        f"--phenotypes and --quantitative: no run learns {binary + quantitative} traits; ask for 1 to 16 in all"
    )
    assert not out.parent.exists()


@pytest.mark.parametrize("who", ["train", "holdout"])
def test_values_of_held_out_people_are_checked_before_training(
    root: Path, run: RunConfig, tmp_path: Path, who: str
) -> None:
    """They are needed after it, when the budget is spent."""
    work = Workspace(shutil.copytree(root / "work-1", tmp_path / "work"))
    header, *lines = work.people.read_text().splitlines()
    row = next(number for number, line in enumerate(lines) if line.endswith(who))
    sample, first, _, _, role = lines[row].split("\t")
    lines[row] = "\t".join((sample, first, "2", "NA", role))
    work.people.write_text("\n".join((header, *lines)) + "\n")
    first = with_risk(run, RiskSettings(traits=(Trait(name="phenotype1"),)))
    good, before = load_holdings(work, first), load_holdings(Workspace(root / "work-1"), first)
    assert good.names == before.names
    np.testing.assert_array_equal(people_of(good).phenotype, people_of(before).phenotype)
    np.testing.assert_array_equal(people_of(good).dosage, people_of(before).dosage)
    number = Trait(name="trait", kind="quantitative")
    for risk, message in (
        (RiskSettings(traits=(Trait(name="phenotype2"),)), "'phenotype2' is neither 0 nor 1 for 1 of 40 people"),
        (RiskSettings(traits=(number,)), "'trait' holds no number for 1 of 40 people"),
        (
            RiskSettings(traits=(Trait(name="phenotype1"),), covariates=(Column(name="trait"),)),
            "'trait' holds no number for 1 of 40 people",
        ),
    ):
        with pytest.raises(InputError, match=message):
            load_holdings(work, with_risk(run, risk))


def test_the_people_table_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    script = """
import sys, numpy as np
from pathlib import Path
from afml.data.people import PeopleTable, PersonColumns
path = Path(sys.argv[1])
made = PeopleTable(("Zo\\u00eb",), PersonColumns(("H\\u00f6he",), np.array([[1.5]])), np.array([True]))
made.save(path)
back = PeopleTable.load(path)
assert (back.samples, back.columns.names) == (made.samples, made.columns.names)
"""
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "people.tsv")], env=environment, check=True)
    assert (tmp_path / "people.tsv").read_text(encoding="utf-8").startswith("sample\tHöhe\trole\nZoë\t1.5")
