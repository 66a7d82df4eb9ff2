"""Private overlap of five institutions: seconds of the whole query, and whether whom it finds is right. Under "trust".

Real processes on loopback: an aggregator and five `afml overlap`, each with its prepared genotypes (2,048 independent
sites), which are made first and not counted. Of every two neighbours 250 people (or a twentieth of them) are the same,
each copy with 1 % of its calls wrong. Environment: PEOPLE (400) of each institution. The bars are for two cores.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import NodeCard
from afml.consortium.kit import load_roster
from afml.consortium.overlap import order
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.genomics.bgzip import header_lines, staged_vcf
from afml.trial.kits import make_kits
from afml.trial.memory import PeakMemory
from afml.trial.processes import Team, free_port
from benchmarks import rounds
from node.policy import OverlapRules
from node.policyfile import init, trial_policy

SECTION = "trust"
BARS = {
    "overlap_s_5x400": ("<=", 120.0), "overlap_s_5x20000": ("<=", 1200.0),
    "overlap_missed_5x400": ("<=", 0), "overlap_missed_5x20000": ("<=", 0),
    "overlap_false_5x400": ("<=", 0), "overlap_false_5x20000": ("<=", 0),
}  # fmt: skip
NODES, SITES, PANEL, WRONG = 5, 2048, 500, 0.01
#: Copies of ALT -> the two bits of PLINK 1, whose first allele is ALT.
_BITS = np.array([3, 2, 0], dtype=np.uint8)


def run() -> dict[str, object]:
    """One query among institutions of so many people."""
    people = int(os.environ.get("PEOPLE", "400"))
    shared, name = min(250, people // 20), f"{NODES}x{people}"
    with tempfile.TemporaryDirectory(prefix="afml-overlap-") as folder, Team(Path(folder) / "logs") as team:
        root = Path(folder)
        config = _prepared(root, team, people, shared)
        port = free_port()
        with PeakMemory(team.running) as memory:
            began = time.perf_counter()
            team.start("aggregator", ["aggregator", *_of(root, "aggregator"), "--data", root / "aggregator",
                                      "--listen", f"127.0.0.1:{port}"])  # fmt: skip
            at = ["--aggregator", f"127.0.0.1:{port}"]
            team.wait([
                team.start(f"node-{n}", ["overlap", *_of(root, f"node-{n}"), "--work", root / f"work-{n}", *at])
                for n in config.nodes
            ])  # fmt: skip
            seconds = time.perf_counter() - began
        missed, wrong = _judged(root, config, shared)
    return {
        f"overlap_s_{name}": round(seconds, 1),
        f"overlap_gb_{name}": round(memory.together / 2**30, 2),
        f"overlap_missed_{name}": missed,
        f"overlap_false_{name}": wrong,
        f"overlap_planted_{name}": shared * (NODES - 1),
    }


def _of(root: Path, party: str) -> list[object]:
    return ["--kit", root / "kits" / party, "--run", root / "run.json"]


def _judged(root: Path, config: RunConfig, shared: int) -> tuple[int, int]:
    """(planted people who were not found, people who were found and are nobody's)."""
    nodes, missed, wrong = order(config), 0, 0
    for place, node in enumerate(nodes):
        folder = root / f"work-{node}" / "overlap" / config.run
        names = set((folder / "without.txt").read_text().split())
        true = {
            f"{node}-{person}"
            for other in nodes[:place]
            for person in _theirs(node, other, config.enrolled[node], shared)
        }
        missed, wrong = missed + len(true - names), wrong + len(names - true)
        found = json.loads((folder / "overlap.json").read_text())["shared"]
        assert set(map(int, found)) == set(nodes[:place]), "an earlier node was not asked"
    return missed, wrong


def _theirs(node: int, other: int, people: int, shared: int) -> range:
    """Rows of the people of a node whom another one has, too: its first ones are the last of the node before."""
    if other == node - 1:
        return range(shared)
    return range(people - shared, people) if other == node + 1 else range(0)


def _prepared(root: Path, team: Team, people: int, shared: int) -> RunConfig:
    """Kits, policies, prepared work folders, and a signed run about them."""
    make_kits(root / "kits", "bench", NODES)
    draw = np.random.default_rng(7)
    frequency = draw.uniform(0.2, 0.5, SITES)
    _write_panel(root / "panel.vcf.gz", draw.binomial(2, frequency, (PANEL, SITES)).astype(np.int8))
    last: NDArray[np.int8] | None = None
    for node in range(1, NODES + 1):
        kit = root / "kits" / f"node-{node}"
        roster = load_roster(kit)
        rules = OverlapRules(allowed=True, people=NODES * people)
        init(kit, trial_policy(roster).model_copy(update={"overlap": rules}), roster)
        dosage = draw.binomial(2, frequency, (people, SITES)).astype(np.int8)
        if last is not None:
            dosage[:shared] = last
        last = dosage[people - shared :].copy()
        wrong = draw.random(dosage.shape, dtype=np.float32) < WRONG
        dosage[wrong] = (dosage[wrong] + draw.integers(1, 3, int(wrong.sum()), dtype=np.int8)) % 3
        _write_bed(root / f"node-{node}", dosage, [f"{node}-{person}" for person in range(people)])
    for node in range(1, NODES + 1):
        team.run(f"prepare-{node}", [
            "prepare", "--kit", root / "kits" / f"node-{node}", "--work", root / f"work-{node}", "--vcf",
            root / f"node-{node}.bed", "--panel-vcf", root / "panel.vcf.gz", "--sites", SITES, "--holdout", 0,
        ])  # fmt: skip
    cards = [NodeCard.load(root / f"work-{node}" / "card.json") for node in range(1, NODES + 1)]
    phase = Phase(name="supplied", rounds=1, sample_rate=1.0, clip_norm=1.0, noise_multiplier=8.0, learning_rate=1.0)
    config = RunConfig(
        run="bench", consortium="bench", task=rounds.TASK, data=cards[0].data,
        enrolled={card.node: card.enrolled for card in cards}, quorum=NODES,
        budget=Budget(delta=1e-5, ple_sigma=20.0), phases=(phase,),
    )  # fmt: skip
    write_run(root / "run.json", config, load_coordinator_key(root / "kits" / "coordinator"))
    return config


def _write_panel(path: Path, dosage: NDArray[np.int8]) -> None:
    genotypes = np.array(["0/0", "0/1", "1/1"])
    with staged_vcf(path) as sink:
        sink.write(header_lines(["1"], [], [f"P{person}" for person in range(len(dosage))]))
        for site, copies in enumerate(dosage.T):
            fields = ["1", str(1000 + 100 * site), ".", "A", "G", ".", "PASS", ".", "GT", *genotypes[copies]]
            sink.write(("\t".join(fields) + "\n").encode())


def _write_bed(stem: Path, dosage: NDArray[np.int8], names: list[str]) -> None:
    """PLINK 1: a site after the other, four people to a byte."""
    whole = np.zeros((SITES, -(-len(names) // 4) * 4), dtype=np.uint8)
    whole[:, : len(names)] = _BITS[dosage.T]
    quarters = whole.reshape(SITES, -1, 4)
    packed = quarters[..., 0] | quarters[..., 1] << 2 | quarters[..., 2] << 4 | quarters[..., 3] << 6
    stem.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    sites = (f"1\t.\t0\t{1000 + 100 * site}\tG\tA\n" for site in range(SITES))
    stem.with_suffix(".bim").write_text("".join(sites))
    stem.with_suffix(".fam").write_text("".join(f"{name}\t{name}\t0\t0\t0\t-9\n" for name in names))
