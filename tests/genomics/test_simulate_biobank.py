"""Simulated biobanks: PLINK files of many people, as `afml prepare` reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.partition import read_people

TOOL = Path(__file__).parents[2] / "tools" / "simulate_biobank.py"
SMALL = ("--people", "101", "--nodes", "2", "--panel", "60", "--sites", "70", "--bases", "20000", "--seed", "3")


def run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def biobank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("msprime", reason="the optional extra 'simulate' is not installed")
    out = tmp_path_factory.mktemp("biobank of this test")
    done = run(out, *SMALL, "--processes", "1")
    assert done.returncode == 0, done.stderr
    return out


def test_every_institution_reads_as_the_panel_does(biobank: Path, tmp_path: Path) -> None:
    panel = build_site_panel(biobank / "panel.vcf.gz", SiteChoice(10_000))
    assert set(panel.chrom) == {str(number) for number in range(1, 23)}
    assert 60 <= len(panel) <= 70
    public = build_store(biobank / "panel.vcf.gz", panel, tmp_path / "panel")
    frequency = public.dosage().mean(axis=0) / 2
    for node in (1, 2):
        store = build_store(biobank / f"node-{node}.bed", panel, tmp_path / f"store-{node}")
        assert (len(store), store.absent_sites) == (101, 0)
        # The same people of the same populations, and ALT is the same allele: no site is the other way round.
        assert np.abs(store.dosage().mean(axis=0) / 2 - frequency).max() < 0.25
    assert sorted(path.name for path in biobank.iterdir() if path.name.startswith(".")) == []


def test_people_are_dealt_by_population(biobank: Path) -> None:
    header, people = read_people(biobank / "people.tsv")
    assert header == ["sample", "pop", "part"]
    names = [line.split("\t")[1] for line in (biobank / "node-2.fam").read_text().splitlines()]
    assert names == [name for name, row in people.items() if row[2] == "node-2"]
    of_node = [row[1] for row in people.values() if row[2] == "node-1"]
    assert {of_node.count(pop) for pop in ("YRI", "CEU", "CHB")} <= set(range(25, 43))


def test_the_same_seed_gives_the_same_bytes_in_several_processes(biobank: Path, tmp_path: Path) -> None:
    assert run(tmp_path, *SMALL, "--processes", "2").returncode == 0
    for name in ("node-1.bed", "node-2.bim", "people.tsv", "panel.vcf.gz"):
        assert (tmp_path / name).read_bytes() == (biobank / name).read_bytes()


def test_impossible_options_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("msprime", reason="the optional extra 'simulate' is not installed")
    done = run(tmp_path / "out", "--sites", "3")
    assert done.returncode == 2
    assert "a site for every chromosome" in done.stderr
    assert not (tmp_path / "out").exists()
