"""A small consortium on loopback: simulated genomes, real processes, real sockets, real keys."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.card import NodeCard
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.genomics.phenotypes import write_phenotypes
from afml.masking.plan import parameter_counts
from afml.masking.settings import GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.training.inprocess import train_in_process
from afml.training.task import Model
from afml.trial.kits import make_kits
from crypto.public.signing import sign
from crypto.public.suites import HYBRID
from node.workspace import Workspace, load_holdings
from tests import warm
from tests.holdout import fixed_holdout
from tests.masking_runs import masking_run
from tests.policies import allow_trials
from tests.processes import REPOSITORY, afml, command, environment
from tests.simulated import simulate_dosage, write_vcf

SITES, PANEL_PEOPLE = 48, 60
GAME = GameSettings(steps=6, batch=8, lineup=4, private_lineup=4, windows=16)


Table = Callable[[np.random.Generator, int], tuple[NDArray[Any], Sequence[str]]]
"""(generator, people) -> (columns of the phenotype table, their names)."""


def one_phenotype(rng: np.random.Generator, people: int) -> tuple[NDArray[Any], Sequence[str]]:
    return rng.integers(0, 2, people).astype(np.int8), ("phenotype",)


@dataclass
class _Places:
    """Where the things of a consortium are below one root, and what is found there."""

    root: Path
    nodes: int
    people: int = 50
    held_out: bool = False
    """Cards say how many are kept out of training."""

    def kit(self, party: int | str) -> Path:
        return self.root / "kits" / (f"node-{party}" if isinstance(party, int) else party)

    def work(self, node: int) -> Path:
        return self.root / f"work-{node}"

    def run_file(self, name: str = "run") -> Path:
        return self.root / f"{name}.json"

    def log(self, name: str) -> str:
        path = self.root / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def data(self, name: str = "run") -> Path:
        """The aggregator's folder of a run."""
        return self.root / f"aggregator-{name}"

    def spends(self, node: int, name: str = "run") -> dict[tuple[int, int], list[int]]:
        """(round, attempt) -> cohort of every spend of a run in a node's ledger."""
        with contextlib.closing(sqlite3.connect(self.work(node) / "ledger" / "ledger.db")) as ledger:
            rows = ledger.execute("SELECT body FROM entries WHERE kind = 'spend' AND run = ?", (name,))
            bodies = [json.loads(body) for (body,) in rows]
        return {(body["round"], body["attempt"]): body["cohort"] for body in bodies}

    def uploads(self, node: int, name: str = "run") -> set[tuple[int, int]]:
        """(round, attempt) of every update of which the aggregator holds a byte, complete or not."""
        found: set[tuple[int, int]] = set()
        for path in (self.data(name) / "uploads").glob("round-*/*"):
            if path.name.lstrip(".").split(".")[0] == str(node):
                _, round_number, attempt = path.parent.name.split("-")
                found.add((int(round_number), int(attempt)))
        if (self.data(name) / "run.sqlite").exists():
            with contextlib.closing(sqlite3.connect(self.data(name) / "run.sqlite")) as store:
                found |= set(store.execute("SELECT round, attempt FROM uploads WHERE node = ?", (node,)))
        return found

    def model_card(self, node: int, name: str = "run") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.work(node) / "models" / name / "model.json").read_text())
        return found


@dataclass
class Consortium(_Places):
    """Kits, data and prepared work folders below one root.

    Attributes:
        popen: Starts its processes: forked ones, unless a test wants new interpreters.
    """

    popen: type[subprocess.Popen[bytes]] = warm.Popen
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def build(
        cls, root: Path, nodes: int = 3, people: int = 50, prefix: str = "N", table: Table = one_phenotype,
        held_out: bool = False,
    ) -> Consortium:  # fmt: skip
        made = cls(root, nodes, people, held_out)
        dosage = simulate_dosage(PANEL_PEOPLE + nodes * people, SITES + 16, seed=3)
        write_vcf(root / "panel.vcf.gz", dosage[:PANEL_PEOPLE], samples=[f"P{i}" for i in range(PANEL_PEOPLE)])
        make_kits(root / "kits", "test", nodes)
        allow_trials(root / "kits")
        rng = np.random.default_rng(5)
        for node in range(1, nodes + 1):
            names = [f"{prefix}{node}-{i}" for i in range(people)]
            start = PANEL_PEOPLE + (node - 1) * people
            write_vcf(root / f"node-{node}.vcf.gz", dosage[start : start + people], samples=names)
            values, columns = table(rng, people)
            write_phenotypes(root / f"node-{node}.tsv", names, values, columns)
            made.prepare(node)
        return made

    def prepare(self, node: int, **changes: object) -> subprocess.CompletedProcess[str]:
        options = {
            "--kit": self.kit(node), "--vcf": self.root / f"node-{node}.vcf.gz",
            "--panel-vcf": self.root / "panel.vcf.gz", "--phenotypes": self.root / f"node-{node}.tsv",
            "--work": self.work(node), "--sites": SITES,
        } | changes  # fmt: skip
        fixed_holdout(Path(str(options["--work"])))
        flags = ["--declare-held-out"] if self.held_out else []
        done = afml("prepare", *[part for pair in options.items() for part in pair], *flags)
        if not changes:
            assert done.returncode == 0, done.stderr
        return done

    def configure(self, name: str = "run", *, seed: int | None = 11, game: bool = True, **changes: Any) -> RunConfig:
        """Write and sign a small run."""
        cards = [NodeCard.load(self.work(n) / "card.json") for n in range(1, self.nodes + 1)]
        wanted: RiskSettings = changes.get("risk", RiskSettings())
        release = ReleaseSettings(min_group_size=5, patterns=4)
        task = MaskingSettings(risk=wanted, game=GAME, release=release)
        risk, played = parameter_counts(cards[0].data.features, task)
        phases = [Phase(name="risk", rounds=3, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                        learning_rate=1.0, parameters=risk)]  # fmt: skip
        if not wanted.declared:
            phases.clear()
        if game:
            phases.append(Phase(name="game", rounds=2, sample_rate=0.3, clip_norm=1.0, noise_multiplier=4.0,
                                learning_rate=0.05, parameters=played))  # fmt: skip
        settings: dict[str, Any] = {
            "run": name, "consortium": "test", "sites": cards[0].data.features,
            "enrolled": {card.node: card.enrolled for card in cards}, "quorum": self.nodes, "max_colluding": 1,
            "budget": Budget(delta=1e-5, ple_sigma=2.0), "phases": tuple(phases), "seed": seed, "game": GAME,
            "release": release, "deadline_s": 60.0, "key_agreement": HYBRID,
        } | ({} if "site_panel" in changes else {"data": cards[0].data}) | changes  # fmt: skip
        config = masking_run(**settings)
        self.sign(config)
        return config

    def sign(self, config: RunConfig) -> None:
        """Write run.json and run.sig."""
        path = self.run_file(config.run)
        path.write_text(config.model_dump_json())
        key = load_coordinator_key(self.kit("coordinator"))
        path.with_suffix(".sig").write_bytes(sign(key, messages.run_config(config.digest())))

    def start(self, log: str, *arguments: object, crash: str = "") -> subprocess.Popen[bytes]:
        with (self.root / f"{log}.log").open("ab") as out:
            process = self.popen(
                command(*arguments, crash=crash), stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY,
                env=environment() | {"AFML_TEST_MARK": str(self.root)},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def start_aggregator(self, port: int, name: str = "run", crash: str = "") -> subprocess.Popen[bytes]:
        return self.start("aggregator", "aggregator", "--kit", self.kit("aggregator"), "--run", self.run_file(name),
                          "--data", self.data(name), "--listen", f"127.0.0.1:{port}", crash=crash)  # fmt: skip

    def start_node(self, node: int, port: int, name: str = "run", crash: str = "") -> subprocess.Popen[bytes]:
        return self.start(f"node-{node}", "node", "--kit", self.kit(node), "--work", self.work(node),
                          "--run", self.run_file(name), "--aggregator", f"127.0.0.1:{port}", "--simulation",
                          crash=crash)  # fmt: skip

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def reference(self, config: RunConfig) -> Model:
        """The same run in one process; bit for bit in seeded runs with all nodes in every cohort."""
        held = {n: load_holdings(Workspace(self.work(n)), config) for n in range(1, self.nodes + 1)}
        train_in_process(config, held[1].task, {n: one.enrolled for n, one in held.items()})
        return held[1].task.model()
