"""A seeded run from end to end: refused unless it is meant, and marked in everything that comes of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afml.core.simulation import SIMULATION
from afml.genomics.phenotypes import write_phenotypes
from afml.operate.next import next_of
from afml.operate.place import Place
from afml.trial.parties import Parties
from afml.trial.processes import ChildFailed, Team
from node.workspace import refusal
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, PANEL, SITES = 3, 20, 40, 24
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Parties]:
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 6, seed=3)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    names = [f"N{node}-{i}" for node in range(NODES) for i in range(PEOPLE)]
    for node in range(NODES):
        start = node * PEOPLE
        own = dosage[PANEL + start :][:PEOPLE]
        write_vcf(tmp_path / f"own-{node + 1}.vcf.gz", own, samples=names[start : start + PEOPLE])
    write_phenotypes(tmp_path / "phenotypes.tsv", names, np.arange(len(names), dtype=np.int8) % 2)
    with Team(tmp_path / "logs") as team:
        made = Parties(team, tmp_path, NODES)
        made.provision("test")
        shared = ["--panel-vcf", tmp_path / "panel.vcf.gz", "--phenotypes", tmp_path / "phenotypes.tsv"]
        made.prepare([["--vcf", tmp_path / f"own-{n}.vcf.gz"] for n in made.nodes], [*shared, "--sites", SITES])
        small = ("--rounds", 1, "--game-rounds", 0, "--game-steps", 0, "--min-group-size", 5)
        made.configure(["--run", "rehearsal", *small, "--seed", 7])
        yield made


def test_a_seeded_run_is_meant_and_marked(consortium: Parties, tmp_path: Path) -> None:
    work = consortium.work(1)
    places = ["--kit", consortium.kit("node-1"), "--work", work.root, "--run", consortium.run_file]
    with Team(tmp_path / "refused") as team, pytest.raises(ChildFailed, match="afml node --simulation") as refused:
        team.run("node", ["node", *places, "--aggregator", "127.0.0.1:9"])
    assert refused.value.exit_code == 3

    consortium.train()
    consortium.verify()
    # The trait has nothing to do with genotypes, and a release that tells nothing of it is not made unasked.
    with Team(tmp_path / "unasked") as team, pytest.raises(ChildFailed, match="not worth releasing") as refused:
        team.run("mask", ["mask", *places, "--target-rr", 0.5])
    assert refused.value.exit_code == 7
    assert not work.release("rehearsal").exists()
    place = Place(consortium.kit("node-1"), work.root, consortium.run_file)
    assert "not worth releasing" in next_of(place).what, "and not once more `afml mask`"
    with Team(tmp_path / "mask") as team:
        team.run("mask", ["mask", *places, "--target-rr", 0.5, "--force"])
        log = (tmp_path / "mask" / "mask.log").read_text()
    assert not refusal(work, "rehearsal").exists()
    assert next_of(place).command.startswith("afml evaluate --own ")
    assert "attacked on panel people: " in log
    assert "; released nevertheless (--force)" in log
    stated = json.loads(work.privacy("rehearsal").read_text())
    assert stated["insecure"] is True
    assert stated["ple_sigma"] is stated["epsilon"] is None
    assert SIMULATION in (tmp_path / "logs" / "node-1.log").read_text()
    header = gzip.decompress((work.release("rehearsal") / "release.vcf.gz").read_bytes()).decode()
    assert "\n##afml_insecure=simulation; " in header
    assert f"\n##afml_model_ple_sigma=inf; {SIMULATION}\n" in header
    columns = json.loads(consortium.work(1).releases("rehearsal").newest().columns.read_text())
    assert sorted(columns, key=lambda name: int(name.removeprefix("N0-"))) == [f"N0-{i}" for i in range(PEOPLE)]
    assert columns != [f"N0-{i}" for i in range(PEOPLE)]
