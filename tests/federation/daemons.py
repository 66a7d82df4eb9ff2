"""A consortium whose aggregator serves many runs, and whose institutions each have a daemon: real processes."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from afml.core.errors import InputError
from afml.trial.processes import free_port
from node.serving.standing import ServeStanding
from node.standing import PartStanding
from tests.federation.parties import Consortium
from tests.processes import afml


@dataclass
class Site:
    """A consortium whose aggregator serves many runs, and whose institutions each have a daemon."""

    consortium: Consortium
    simulation: bool = True
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        return self.consortium.root / "aggregator"

    def state(self, node: int) -> Path:
        return self.consortium.root / f"serve-{node}"

    def start_aggregator(self, data: Path | None = None) -> subprocess.Popen[bytes]:
        return self.consortium.start(
            "aggregator", "aggregator", "--kit", self.consortium.kit("aggregator"), "--data", data or self.data,
            "--listen", f"127.0.0.1:{self.port}",
        )  # fmt: skip

    def config(self, node: int) -> Path:
        path = self.consortium.root / f"serve-{node}.toml"
        path.write_text(
            f'aggregator = "127.0.0.1:{self.port}"\n'
            f'[work.only]\nfolder = "work-{node}"\ntasks = ["masking"]\n'
        )  # fmt: skip
        return path

    def start(self, node: int, *further: object, state: Path | None = None) -> subprocess.Popen[bytes]:
        return self.consortium.start(
            f"serve-{node}", "node", "serve", "--kit", self.consortium.kit(node), "--config", self.config(node),
            "--state", state or self.state(node), "--every", 0.5, *(["--simulation"] if self.simulation else []),
            *further,
        )  # fmt: skip

    def submit(self, name: str) -> str:
        told = afml("run", "submit", self.consortium.run_file(name), "--kit", self.consortium.kit("coordinator"),
                    "--aggregator", f"127.0.0.1:{self.port}")  # fmt: skip
        assert told.returncode == 0, told.stderr
        return str(told.stdout)

    def said(self, node: int) -> str:
        return self.consortium.log(f"serve-{node}")

    def standing(self, node: int) -> ServeStanding | None:
        try:
            return ServeStanding.found(self.state(node))
        except InputError:
            return None

    def process(self, node: int, run: str) -> int:
        """The process that plays a run for a node."""
        return PartStanding.found(self.consortium.work(node) / "runs" / run).process

    def spends(self, node: int, run: str) -> list[tuple[int, int]]:
        """(round, attempt) of every spend, as often as it is in the ledger."""
        path = self.consortium.work(node) / "ledger" / "ledger.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as ledger:
            query = "SELECT round, attempt FROM entries WHERE kind = 'spend' AND run = ? ORDER BY idx"
            return ledger.execute(query, (run,)).fetchall()

    def told(self) -> str:
        logs = ["aggregator", *(f"serve-{node}" for node in range(1, self.consortium.nodes + 1))]
        parts = [f"--- {log}\n{self.consortium.log(log)[-2500:]}" for log in logs]
        parts += [f"--- {path}\n{path.read_text()[-1500:]}" for path in self.consortium.root.glob("serve-*/runs/*/log")]
        return "\n".join(parts)
