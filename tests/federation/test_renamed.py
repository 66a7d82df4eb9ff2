"""An institution that renames its samples and prepares again: the people's accounts stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import Budget, RunConfig
from afml.core.errors import BudgetError, ConfigError, InputError
from afml.core.progress import Step
from afml.data.holdout import HoldoutDraw
from afml.genomics.kind import GenotypeOptions
from afml.ledger.verify import verify
from afml.trial.kits import make_kits
from crypto.public.signing import public_bytes
from node.guard import open_ledger
from node.prepare import Given, prepare
from node.recognise import recognise_people
from node.take_part import Part, checked_holdings
from node.workspace import Workspace
from tests.genomics.test_kinship import independent, read_again
from tests.ledger.helpers import config, full, spend
from tests.simulated import write_vcf

SITES, PEOPLE = 1024, 30

BUDGET = Budget(delta=1e-5, ple_sigma=2.0)


class Institution:
    """Node 1 and its panel."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, Workspace(root / "work")
        write_vcf(root / "panel.vcf.gz", independent(60, SITES, 50), samples=[f"P{i}" for i in range(60)])
        make_kits(root / "kits", "test", 2)

    @property
    def kit(self) -> NodeKit:
        return load_node_kit(self.root / "kits" / "node-1")

    def prepare(
        self, dosage: NDArray[np.int8], names: list[str], max_enrolments: int = 1, *, others: bool = False
    ) -> None:
        vcf = self.root / "own.vcf.gz"
        write_vcf(vcf, dosage, samples=names)
        options = GenotypeOptions(vcf=vcf, panel_vcf=self.root / "panel.vcf.gz", sites=SITES, min_maf=0.0)
        given = Given("genotypes", options, HoldoutDraw(0.0), max_enrolments, others=others)
        prepare(self.kit, self.work, given, Step("prepare", None, None))

    def spend(self, run: RunConfig) -> int:
        """One round of a run, as the node's guard has it; how many people were recognised under another name."""
        with open_ledger(self.work, self.kit) as ledger:
            renamed = recognise_people(ledger, self.work).renamed
            spend(ledger, run, 1, people=self.work.prepared().people.samples)
        return renamed


def test_renamed_samples_read_again_with_errors_have_spent_what_they_spent(tmp_path: Path) -> None:
    site, dosage = Institution(tmp_path), independent(PEOPLE, SITES, 1)
    site.prepare(read_again(dosage, 2), [f"N{i}" for i in range(PEOPLE)])
    assert site.spend(full("one", 1.89, rounds=1, budget=BUDGET)) == 0  # PLE 1.89 of 2.0
    with pytest.raises(InputError, match="other people: of 30 who were here when runs enrolled them 14 are among them"):
        site.prepare(read_again(dosage, 3), [f"{'N' if i < 14 else 'R'}{i}" for i in range(PEOPLE)])
    assert site.work.prepared().people.samples[-1] == f"N{PEOPLE - 1}", "nothing was replaced"
    site.prepare(read_again(dosage, 3), [f"R{i}" for i in range(PEOPLE)], others=True)
    with pytest.raises(BudgetError, match=r"2\.522 of 2 sigma.*charged 1\.89"):
        site.spend(full("two", 1.67, rounds=1, budget=BUDGET))
    strangers = independent(PEOPLE, SITES, 9)
    site.prepare(strangers, [f"S{i}" for i in range(PEOPLE)], others=True)
    assert site.spend(full("three", 1.67, rounds=1, budget=BUDGET)) == 0
    found = verify(site.work.ledger, key=public_bytes(site.kit.signing_key))
    assert found.ok, found.findings


def test_a_run_below_what_the_card_says_of_its_people_is_refused(tmp_path: Path) -> None:
    site = Institution(tmp_path)
    site.prepare(independent(PEOPLE, SITES, 1), [f"N{i}" for i in range(PEOPLE)], max_enrolments=2)
    run = config(enrolled={1: PEOPLE, 2: 12, 3: 12}).model_copy(update={"data": site.work.prepared().data})
    part = Part(tmp_path, site.work.root, tmp_path / "run.json", "")
    with pytest.raises(
        ConfigError, match=r"noise is made for people enrolled at 1 institutions at most.*--max-enrolments"
    ):
        checked_holdings(site.work, run, 1, part)
