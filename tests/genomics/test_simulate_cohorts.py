"""The demonstration data: a separate command, because msprime is GPL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.partition import read_people
from afml.genomics.sources.vcf import VariantFile

TOOL = Path(__file__).parents[2] / "tools" / "simulate_cohorts.py"


def run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("msprime", reason="the optional extra 'simulate' is not installed")
    out = tmp_path_factory.mktemp("cohorts of this test")
    done = run(out, "--people", "300", "--nodes", "2", "--panel", "100", "--sites", "400", "--seed", "3")
    assert done.returncode == 0, done.stderr
    return out


def test_enough_sites_for_a_panel_and_all_of_them_at_every_node(cohorts: Path) -> None:
    panel = build_site_panel(cohorts / "panel.vcf.gz", SiteChoice(10_000))
    assert len(panel) >= 400
    assert len(set(panel.chrom)) == 22
    assert 0.05 < float((panel.annotations[:, 1] > 0).mean()) < 0.6
    for node in (1, 2):
        store = build_store(cohorts / f"node-{node}.vcf.gz", panel, cohorts / f"store-{node}")
        assert (len(store), store.absent_sites) == (100, 0)
        assert np.abs(store.dosage().mean(axis=0) / 2 - panel.maf).mean() < 0.05


def test_people_are_listed_with_population_and_part(cohorts: Path) -> None:
    header, people = read_people(cohorts / "people.tsv")
    assert header == ["sample", "pop", "part"]
    assert {row[1] for row in people.values()} == {"YRI", "CEU", "CHB"}
    with VariantFile(cohorts / "node-2.vcf.gz") as variants:
        assert variants.samples == [name for name, row in people.items() if row[2] == "node-2"]
    assert sorted(path.name for path in cohorts.iterdir() if path.name.startswith(".")) == []


def test_populations_differ_and_neighbours_are_linked(cohorts: Path) -> None:
    panel = build_site_panel(cohorts / "panel.vcf.gz", SiteChoice(400))
    store = build_store(cohorts / "panel.vcf.gz", panel, cohorts / "store-panel")
    dosage = store.dosage().astype(float)
    people = read_people(cohorts / "people.tsv")[1]
    african = np.array([people[name][1] == "YRI" for name in store.samples])
    assert np.abs(dosage[african].mean(axis=0) - dosage[~african].mean(axis=0)).max() > 0.5
    correlation = np.corrcoef(dosage.T) ** 2
    near = [correlation[i, i + 1] for i in range(399) if panel.pos[i + 1] - panel.pos[i] < 5000]
    far = [correlation[i, j] for i in range(0, 400, 7) for j in range(3, 400, 11) if panel.chrom[i] != panel.chrom[j]]
    assert np.mean(near) > 5 * np.mean(far)


def test_the_same_seed_gives_the_same_bytes(cohorts: Path, tmp_path: Path) -> None:
    run(tmp_path, "--people", "300", "--nodes", "2", "--panel", "100", "--sites", "400", "--seed", "3")
    assert (tmp_path / "node-1.vcf.gz").read_bytes() == (cohorts / "node-1.vcf.gz").read_bytes()


def test_people_who_are_at_two_institutions_are_read_again_at_the_next_one(cohorts: Path, tmp_path: Path) -> None:
    options = ("--people", "300", "--nodes", "2", "--panel", "100", "--sites", "400", "--seed", "3")
    done = run(tmp_path, *options, "--twice", "5")
    assert done.returncode == 0, done.stderr
    header, pairs = read_people(tmp_path / "twice.tsv")
    assert header == ["sample", "again", "part"]
    assert [row[2] for row in pairs.values()] == ["node-1"] * 2 + ["node-2"] * 3
    people = read_people(tmp_path / "people.tsv")[1]
    assert all(people[name][2] == {"node-1": "node-2", "node-2": "node-1"}[row[2]] for name, row in pairs.items())
    assert (tmp_path / "people.tsv").read_bytes() == (cohorts / "people.tsv").read_bytes()
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(400))
    calls: dict[str, np.ndarray] = {}
    for node in (1, 2):
        store = build_store(tmp_path / f"node-{node}.vcf.gz", panel, tmp_path / f"store-{node}")
        calls |= dict(zip(store.samples, store.dosage(), strict=True))
        alone = build_store(cohorts / f"node-{node}.vcf.gz", panel, tmp_path / f"alone-{node}")
        assert np.array_equal(alone.dosage(), store.dosage()[: len(alone)]), "everybody else is as without them"
    wrong = [float((calls[name] != calls[row[1]]).mean()) for name, row in pairs.items()]
    assert 0.003 < np.mean(wrong) < 0.02


def test_impossible_options_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("msprime", reason="the optional extra 'simulate' is not installed")
    done = run(tmp_path / "out", "--people", "10", "--panel", "10")
    assert done.returncode == 2
    assert "needs at least one node" in done.stderr
    assert not (tmp_path / "out").exists()
