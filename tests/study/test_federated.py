"""A run of the study with two phenotypes through the real federation: same model, same release as in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.masking.chosen import masking_settings
from afml.masking.kind import train_masking
from afml.masking.plan import Wish, plan_phases
from afml.masking.settings import GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.study.data import DataSettings, StudyData, held_out
from afml.study.federated import federate
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, PANEL, SITES = 3, 40, 50, 32
pytestmark = pytest.mark.timeout(1800)


def study_data(folder: Path) -> StudyData:
    """VCF files of three institutions and a panel, read as `afml prepare` reads them."""
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 8, seed=3)
    write_vcf(folder / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    panel = build_site_panel(folder / "panel.vcf.gz", SiteChoice(SITES))
    files, enrolled = [], []
    for node in range(1, NODES + 1):
        path, names = folder / f"node-{node}.vcf.gz", [f"N{node}-{i}" for i in range(PEOPLE)]
        write_vcf(path, dosage[PANEL + (node - 1) * PEOPLE :][:PEOPLE], samples=names)
        files.append(build_store(path, panel, folder / f"{node}.zarr").dosage())
        enrolled.append(~held_out(names, 0.25, 1))
    known = build_store(folder / "panel.vcf.gz", panel, folder / "panel.zarr").dosage()
    return StudyData(panel, known, known, tuple(files), tuple(enrolled), folder)


def test_two_phenotypes_through_the_federation(tmp_path: Path) -> None:
    data = study_data(tmp_path)
    game = GameSettings(steps=2)
    trained = MaskingSettings(risk=RiskSettings(phenotypes=2), game=game)
    wish = Wish(ple=0.9, delta=1e-5, rounds=2, game_rounds=1, game_share=0.1, reserve=1)
    settings = RunSettings(
        data=DataSettings(kind="vcf", sites=SITES, nodes=NODES, panel_people=PANEL), causal=4, phenotypes=2,
        phenotype_seed=1001, ple=0.9, game=game, release=ReleaseSettings(patterns=5, min_group_size=5),
        phases=plan_phases(wish, trained, SITES),
    )  # fmt: skip
    config = settings.run_config(data)
    made = federate(settings, data, config)
    values, _ = phenotypes(settings, data)
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(data, values))
    assert model.phenotypes == 2
    assert set(made.digests) == {model.digest()}
    release, smallest = masking_settings(config).release, min(config.enrolled.values())
    plan = plan_release(model, data.panel_dosage, release, people_per_file=smallest)
    for released, raw in zip(made.released, data.files, strict=True):
        np.testing.assert_array_equal(released, apply_plan(plan, raw).dosage)
    assert made.bytes_up > 0
