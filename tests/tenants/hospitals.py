"""Three institutions with tables and the tenant installed at each, every party a process of its own."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import numpy as np

from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from tests import warm
from tests.holdout import fixed_holdout
from tests.policies import allow_trials
from tests.processes import REPOSITORY, command, environment, listening

NODES, PEOPLE, ROUNDS = 3, 40, 3
SCHEMA = """
person = "patient"
targets = ["ill"]
[[columns]]
name = "age"
low = 0.0
high = 100.0
[[columns]]
name = "dose"
centre = 5.0
spread = 2.0
missing = "indicator"
fill = 5.0
[[columns]]
name = "ill"
kind = "binary"
"""


def _table(path: Path, node: int, rows: int) -> None:
    """Some people have several rows, `rows` at most; some cells are empty."""
    rng = np.random.default_rng(node)
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["patient", "age", "dose", "ill"])
        for person in range(PEOPLE):
            ill = int(rng.random() < 0.5)
            for _ in range(1 + person % rows):
                dose = "" if rng.random() < 0.1 else f"{5 + ill + rng.normal():.3f}"
                writer.writerow([f"N{node}-{person}", f"{50 + 20 * ill * rng.random():.2f}", dose, ill])


class Hospitals:
    """Three institutions with tables, and the tenant installed at each."""

    def __init__(self, root: Path, site_packages: Path, rows: int = 3) -> None:
        self.root, self._rows = root, rows
        paths = [str(site_packages), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = environment() | {"PYTHONPATH": os.pathsep.join(paths)}

    def afml(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return warm.run(command(*arguments), env=self.environment, cwd=self.root)

    def done(self, *arguments: object) -> str:
        done = self.afml(*arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def kit(self, party: object) -> Path:
        return self.root / "kits" / str(party)

    def work(self, node: int) -> Path:
        return self.root / f"work-{node}"

    def prepare(self) -> None:
        make_kits(self.root / "kits", "hospitals", NODES)
        allow_trials(self.root / "kits")
        (self.root / "schema.toml").write_text(SCHEMA)
        for node in range(1, NODES + 1):
            _table(self.root / f"{node}.csv", node, self._rows)
            self.done(
                "prepare", "--kit", self.kit(f"node-{node}"), "--work", fixed_holdout(self.work(node), 3),
                "--task", "mlp",
                "--table", self.root / f"{node}.csv", "--schema", self.root / "schema.toml", "--declare-held-out",
            )  # fmt: skip

    def configure(self, name: str, *options: object) -> subprocess.CompletedProcess[str]:
        cards = [self.work(node) / "card.json" for node in range(1, NODES + 1)]
        return self.afml(
            "configure", *cards, "--kit", self.kit("coordinator"), "--out", self.root / f"{name}.json", "--run", name,
            "--task", "mlp", "--rounds", ROUNDS, "--ple", 2, "--sample-rate", 0.5, *options,
        )  # fmt: skip

    def train(self, name: str, several: int = 0) -> list[tuple[int, str]]:
        """Every party a process; (exit code, what it said) of the aggregator and of each node.

        Args:
            name: Of the run.
            several: A node of two processes under torchrun.
        """
        port = free_port()
        commands = [[
            "aggregator", "--kit", self.kit("aggregator"), "--run", self.root / f"{name}.json",
            "--data", self.root / f"aggregator-{name}", "--listen", f"127.0.0.1:{port}",
        ]]  # fmt: skip
        commands += [[
            "node", "--kit", self.kit(f"node-{node}"), "--work", self.work(node), "--run", self.root / f"{name}.json",
            "--aggregator", f"127.0.0.1:{port}", "--simulation",
        ] for node in range(1, NODES + 1)]  # fmt: skip
        processes: list[subprocess.Popen[str]] = []
        for party, arguments in enumerate(commands):
            one = command(*arguments)
            if party and party == several:  # the `--` keeps torchrun from taking `--run` for an option of its own
                torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "afml", "--"]
                one = [one[0], *torchrun, *one[3:]]
            processes.append(
                (subprocess if party and party == several else warm).Popen(
                    one, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment,
                    cwd=self.root,
                )
            )  # fmt: skip
            if len(processes) == 1:
                listening(port)
        try:
            told = [process.communicate(timeout=600)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
        return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]
