"""`afml run show` and `afml run approve` of a run that does not fit these people or these data."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.cli.policy import policy
from afml.consortium.card import NodeCard
from afml.consortium.run import RunConfig
from afml.core.errors import BudgetError, InputError
from afml.masking.chosen import genotypes
from node.columns import read_by, require_read
from node.guard import open_ledger
from node.workspace import Workspace
from tests.cli.officer import PEOPLE, PEOPLE_TSV, call, desk, kit, loaded, on, shown, signed


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return desk(tmp_path)


def test_a_run_that_does_not_fit_is_not_approved(place: Path) -> None:
    """It was approved by people whom `afml run show` had just told that it is refused."""
    call(policy, "init", "--kit", kit(place), "--trust-roster", "--approval", "--lifetime", 0.4, "--run-budget", 0.9)
    file = signed(place)
    assert "this site's lifetime budget" in shown(place, file)
    with pytest.raises(BudgetError, match="this site's lifetime budget"):
        on(place, "approve", file)
    with open_ledger(Workspace(place / "work"), loaded(place)) as ledger:
        assert not list(ledger.entries())


def test_what_the_data_lack_is_told_before_the_run(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    file, people = signed(place), place / "work" / "people.tsv"
    assert "of each person it reads, beside genotypes: phenotype (0 or 1)\n" in shown(place, file)
    people.write_text(PEOPLE_TSV.replace("\t1\n", "\t\n", 2))
    assert "people.tsv: column 'phenotype' holds no number for 2 of 12 people" in shown(place, file)
    people.write_text(PEOPLE_TSV.replace("phenotype", "gout"))
    assert "people.tsv: has no column 'phenotype'" in shown(place, file)
    with pytest.raises(InputError, match=r"people\.tsv: has no column 'phenotype'"):
        on(place, "approve", file)
    people.write_text(PEOPLE_TSV)
    card = NodeCard(node=2, data=genotypes("00", 9), enrolled=len(PEOPLE))
    (place / "work" / "card.json").write_text(card.model_dump_json())
    assert "is the work folder of node 2, and the kit that of node 1" in shown(place, file)


def test_a_scan_says_which_columns_it_reads_and_which_are_not_here(place: Path) -> None:
    trait, age = {"name": "height", "kind": "quantitative", "centre": 170, "spread": 9}, {"name": "age"}
    masking = RunConfig.load(signed(place))
    task = masking.task.model_copy(update={"kind": "gwas", "settings": {"trait": trait, "covariates": [age]}})
    scan, prepared = masking.model_copy(update={"task": task}), Workspace(place / "work").prepared()
    assert read_by(scan) == ("height (a number)", "age (a number)")
    with pytest.raises(InputError, match=r"people\.tsv: has no column 'height'"):
        require_read(scan, prepared)
    assert read_by(scan.model_copy(update={"task": task.model_copy(update={"kind": "of-mine"})})) == ()
