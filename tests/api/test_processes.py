"""The same run in one process and in many: one model, ledgers that say the same, files released from either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import afml
from afml.core.errors import PolicyError
from afml.genomics.phenotypes import write_phenotypes
from node.policy import FILE
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, PANEL, SITES = 3, 20, 40, 24
SETTINGS = {"game": {"steps": 0}, "release": {"min_group_size": 5}}
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> afml.LocalConsortium:
    root = tmp_path_factory.mktemp("genomes")
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 6, seed=3)
    panel, traits = root / "panel.vcf.gz", root / "phenotypes.tsv"
    write_vcf(panel, dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    names = [f"N{node}-{i}" for node in range(NODES) for i in range(PEOPLE)]
    write_phenotypes(traits, names, np.arange(len(names), dtype=np.int8) % 2)
    cohorts = []
    for node in range(NODES):
        part = slice(node * PEOPLE, (node + 1) * PEOPLE)
        write_vcf(root / f"{node}.vcf.gz", dosage[PANEL:][part], samples=names[part])
        options = {"vcf": root / f"{node}.vcf.gz", "panel_vcf": panel, "phenotypes": traits, "sites": SITES}
        cohorts.append(afml.Cohort("genotypes", seed=7, **options))
    return afml.LocalConsortium(
        cohorts, "masking", ple=0.5, settings=SETTINGS, folder=root / "consortium", budget_sigma=50.0,
        rounds=2, further={"game_rounds": 0}, seed=5,
    )  # fmt: skip


def test_one_process_and_many_end_with_the_same_bits(consortium: afml.LocalConsortium) -> None:
    here = consortium.train(name="here")
    apart = consortium.train(name="apart", processes=True, progress=True)
    assert here.run.phases == apart.run.phases
    for name, array in here.model.arrays.items():
        np.testing.assert_array_equal(array, apart.model.arrays[name])
    for trained in (here, apart):
        assert trained.statements[1].insecure
        trained.verify()


def test_files_are_released_under_the_policy(consortium: afml.LocalConsortium, tmp_path: Path) -> None:
    run = consortium.root / "runs" / "here" / "run.json"
    done = afml.mask(kit=consortium.kit(1), work=consortium.work(1), run=run, force=True)
    assert [path.is_file() for path in done.files] == [True]
    assert done.released.min_group_size >= 5
    policy = consortium.kit(2) / FILE
    policy.write_text(policy.read_text().replace("min_group_size = 1", "min_group_size = 9"))
    with pytest.raises(PolicyError, match="groups of 5 people"):
        afml.mask(kit=consortium.kit(2), work=consortium.work(2), run=run)


def test_an_institution_prepares_again(consortium: afml.LocalConsortium, tmp_path: Path) -> None:
    root = consortium.root.parent
    cohort = afml.Cohort(
        "genotypes", vcf=root / "0.vcf.gz", panel_vcf=root / "panel.vcf.gz", sites=SITES, holdout=0.0
    )  # fmt: skip
    card = afml.prepare(cohort, kit=consortium.kit(1), work=tmp_path / "work")
    assert (card.node, card.enrolled, card.data.features) == (1, PEOPLE, SITES)
