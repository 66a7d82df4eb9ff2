"""The processes of a measured round: a node that is given its update, and the aggregator.

A node is the product's `Session` with everything around it - client, keys, ledger, journal, outbox, codec - and
the product's `Program`, whose update is a fixed random vector instead of a gradient: training is not timed.
It prints one JSON line per progress message with the time of day.

    python -m benchmarks.party node ROOT NUMBER ADDRESS [--plain]
    python -m benchmarks.party aggregator ROOT ADDRESS [--plain]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.cli.runfile import load_run
from afml.core.logging import configure
from afml.core.run import RunConfig
from afml.privacy.noise import node_std
from afml.training.program import Cohort, Program
from aggregator.server import serve
from crypto.public.kit import load_aggregator_kit
from crypto.secret.nodekit import load_node_kit
from node.client import Client, preflight
from node.guard import open_ledger
from node.journal import Journal
from node.session import Session
from node.workspace import Holdings, Workspace


class SuppliedUpdate(Program):
    """A risk model of any length whose private update is ready beforehand; it applies sums as the product does."""

    def __init__(self, config: RunConfig, node: int) -> None:
        self.config, self.sites = config, config.sites
        self.statistics: Any = SimpleNamespace(variance=1.0)
        self._risk, self._weights, self._game = np.zeros(self.sites + 1), None, None
        std = node_std(config, config.phases[0])
        self._update = std * np.random.default_rng(node).standard_normal(self.sites + 1)

    def private_update(self, *_: object) -> NDArray[np.float64]:
        return self._update

    @property
    def has_public_part(self) -> bool:
        return True  # nothing is played on a panel after the last round

    def model(self) -> Any:
        return None


def _say(text: str) -> None:
    print(json.dumps({"time": time.time(), "text": text}), flush=True)


def run_node(root: Path, number: int, address: str) -> None:
    kit = load_node_kit(root / "kits" / f"node-{number}")
    configure(f"node-{number}")
    config = load_run(root / "run.json", kit.roster)
    people = tuple(f"person-{index}" for index in range(config.enrolled[number]))
    nobody = Cohort(np.zeros((0, config.sites), np.int8), np.zeros(0, np.int8))
    holdings = Holdings(SimpleNamespace(), np.zeros((0, config.sites), np.int8), nobody, people)  # type: ignore[arg-type]
    work = Workspace(root / f"work-{number}")
    program = SuppliedUpdate(config, number)
    preflight(address, kit, 60.0)
    client = Client(address, kit, config)
    with open_ledger(work, kit) as ledger:
        journal = Journal(work.run(config.run))
        Session(kit, config, holdings, ledger, journal, client, program=program, progress=_say).run()
    client.close()


def run_aggregator(root: Path, address: str) -> None:
    configure("aggregator")
    kit = load_aggregator_kit(root / "kits" / "aggregator")
    host, _, port = address.rpartition(":")
    serve(kit, load_run(root / "run.json", kit.roster), root / "aggregator", host, int(port))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["node", "aggregator"])
    parser.add_argument("root", type=Path)
    parser.add_argument("rest", nargs="+")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    if arguments.plain:
        from benchmarks import plain

        plain.install()
    if arguments.role == "node":
        run_node(arguments.root, int(arguments.rest[0]), arguments.rest[1])
    else:
        run_aggregator(arguments.root, arguments.rest[0])


if __name__ == "__main__":
    main()
