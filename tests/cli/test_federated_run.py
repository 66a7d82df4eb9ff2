"""A run of the study with two phenotypes through the real federation: same model, same release as in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from afml.cli.configure import plan_phases
from afml.cli.federated_run import federate
from afml.core.run import GameSettings, ReleaseSettings
from afml.evaluation.study.data import DataSettings, StudyData, held_out
from afml.evaluation.study.settings import RunSettings
from afml.evaluation.study.single import cohorts, phenotypes
from afml.genomics.choice import build_site_panel
from afml.genomics.store import build_store
from afml.training.inprocess import train_in_process
from afml.training.release import apply_plan, plan_release
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, PANEL, SITES = 3, 40, 50, 32


def study_data(folder: Path) -> StudyData:
    """VCF files of three institutions and a panel, read as `afml prepare` reads them."""
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 8, seed=3)
    write_vcf(folder / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    panel = build_site_panel(folder / "panel.vcf.gz", sites=SITES)
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
    settings = RunSettings(
        data=DataSettings(kind="vcf", sites=SITES, nodes=NODES, panel_people=PANEL), causal=4, phenotypes=2,
        phenotype_seed=1001, ple=0.9, game=game, release=ReleaseSettings(patterns=5, min_group_size=5),
        phases=plan_phases(ple=0.9, delta=1e-5, rounds=2, game_rounds=1, game_share=0.1, reserve=1, sites=SITES,
                           phenotypes=2, game=game),
    )  # fmt: skip
    config = settings.run_config(data)
    digests, files, _, size = federate(settings, data, config)
    values, _ = phenotypes(settings, data)
    model = train_in_process(config, data.panel, data.panel_dosage, cohorts(data, values))
    assert model.phenotypes == 2
    assert set(digests) == {model.digest()}
    plan = plan_release(model, data.panel_dosage, config.release, people_per_file=min(config.enrolled.values()))
    for released, raw in zip(files, data.files, strict=True):
        np.testing.assert_array_equal(released, apply_plan(plan, raw).dosage)
    assert size > 0
