"""A small consortium on loopback: simulated genomes, real processes, real sockets, real keys."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.run import Budget, GameSettings, NodeCard, Phase, ReleaseSettings, RiskSettings, RunConfig
from afml.genomics.phenotypes import write_phenotypes
from afml.training.inprocess import train_in_process
from afml.training.model import TrainedModel
from afml.training.program import parameter_counts
from crypto.public import messages
from crypto.public.signing import sign
from crypto.secret.provision import load_coordinator_key, provision
from node.workspace import Workspace, load_holdings
from tests.simulated import simulate_dosage, write_vcf

REPOSITORY = Path(__file__).resolve().parents[2]
SITES, PANEL_PEOPLE = 48, 60
GAME = GameSettings(steps=6, batch=8, lineup=4, private_lineup=4, windows=16)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> None:
    """Wait until somebody accepts connections."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def afml(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=300, **options
    )


def command(*arguments: object, crash: str = "") -> list[str]:
    """A command line; `crash` is an instruction to die at, see `tests.federation.crashing`."""
    module = ["tests.federation.crashing", *crash.split(), "--"] if crash else ["afml"]
    return [sys.executable, "-m", *module, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def alive(marker: object) -> list[int]:
    """Processes that inherited AFML_TEST_MARK=marker, whoever their parent is now."""
    wanted, found = f"AFML_TEST_MARK={marker}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            running = (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if running and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


Table = Callable[[np.random.Generator, int], tuple[NDArray[Any], Sequence[str]]]
"""(generator, people) -> (columns of the phenotype table, their names)."""


def one_phenotype(rng: np.random.Generator, people: int) -> tuple[NDArray[Any], Sequence[str]]:
    return rng.integers(0, 2, people).astype(np.int8), ("phenotype",)


@dataclass
class Consortium:
    """Kits, data and prepared work folders below one root."""

    root: Path
    nodes: int
    people: int = 50
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def build(
        cls, root: Path, nodes: int = 3, people: int = 50, prefix: str = "N", table: Table = one_phenotype
    ) -> Consortium:
        made = cls(root, nodes, people)
        dosage = simulate_dosage(PANEL_PEOPLE + nodes * people, SITES + 16, seed=3)
        write_vcf(root / "panel.vcf.gz", dosage[:PANEL_PEOPLE], samples=[f"P{i}" for i in range(PANEL_PEOPLE)])
        provision(root / "kits", "test", nodes)
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
            "--work": self.work(node), "--sites": SITES, "--seed": 7,
        } | changes  # fmt: skip
        done = afml("prepare", *[part for pair in options.items() for part in pair])
        if not changes:
            assert done.returncode == 0, done.stderr
        return done

    def kit(self, party: int | str) -> Path:
        return self.root / "kits" / (f"node-{party}" if isinstance(party, int) else party)

    def work(self, node: int) -> Path:
        return self.root / f"work-{node}"

    def configure(self, name: str = "run", *, seed: int | None = 11, game: bool = True, **changes: Any) -> RunConfig:
        """Write and sign a small run."""
        cards = [NodeCard.load(self.work(n) / "card.json") for n in range(1, self.nodes + 1)]
        wanted: RiskSettings = changes.get("risk", RiskSettings())
        risk, played = parameter_counts(
            cards[0].sites, 4, GAME, phenotypes=wanted.scores, covariates=len(wanted.covariates)
        )
        phases = [Phase(name="risk", rounds=3, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                        learning_rate=1.0, parameters=risk)]  # fmt: skip
        if wanted.kept_components:
            phases.clear()
        if game:
            phases.append(Phase(name="game", rounds=2, sample_rate=0.3, clip_norm=1.0, noise_multiplier=4.0,
                                learning_rate=0.05, parameters=played))  # fmt: skip
        settings: dict[str, Any] = {
            "run": name, "consortium": "test", "site_panel": cards[0].site_panel, "sites": cards[0].sites,
            "enrolled": {card.node: card.enrolled for card in cards}, "quorum": self.nodes, "max_colluding": 1,
            "budget": Budget(delta=1e-5, ple_sigma=2.0), "phases": tuple(phases), "seed": seed, "game": GAME,
            "release": ReleaseSettings(min_group_size=5, patterns=4), "deadline_s": 60.0,
        } | changes  # fmt: skip
        config = RunConfig.model_validate(settings)
        self.sign(config)
        return config

    def sign(self, config: RunConfig) -> None:
        """Write run.json and run.sig."""
        path = self.run_file(config.run)
        path.write_text(config.model_dump_json())
        key = load_coordinator_key(self.kit("coordinator"))
        path.with_suffix(".sig").write_bytes(sign(key, messages.run_config(config.digest())))

    def run_file(self, name: str = "run") -> Path:
        return self.root / f"{name}.json"

    def start(self, log: str, *arguments: object, crash: str = "") -> subprocess.Popen[bytes]:
        with (self.root / f"{log}.log").open("ab") as out:
            process = subprocess.Popen(
                command(*arguments, crash=crash), stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY,
                env=environment() | {"AFML_TEST_MARK": str(self.root)},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        path = self.root / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def start_aggregator(self, port: int, name: str = "run", crash: str = "") -> subprocess.Popen[bytes]:
        return self.start("aggregator", "aggregator", "--kit", self.kit("aggregator"), "--run", self.run_file(name),
                          "--data", self.data(name), "--listen", f"127.0.0.1:{port}", crash=crash)  # fmt: skip

    def start_node(self, node: int, port: int, name: str = "run", crash: str = "") -> subprocess.Popen[bytes]:
        return self.start(f"node-{node}", "node", "--kit", self.kit(node), "--work", self.work(node),
                          "--run", self.run_file(name), "--aggregator", f"127.0.0.1:{port}",
                          crash=crash)  # fmt: skip

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

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

    def reference(self, config: RunConfig) -> TrainedModel:
        """The same run in one process; bit for bit in seeded runs with all nodes in every cohort."""
        held = {n: load_holdings(Workspace(self.work(n)), config.risk) for n in range(1, self.nodes + 1)}
        cohorts = {n: one.cohort for n, one in held.items()}
        return train_in_process(config, held[1].panel, held[1].panel_dosage, cohorts)

    def model_card(self, node: int, name: str = "run") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.work(node) / "models" / name / "model.json").read_text())
        return found


__all__ = ["Consortium", "afml", "canonical_json", "free_port"]
