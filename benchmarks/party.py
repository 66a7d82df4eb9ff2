"""A node of a measured round, which is given its update.

It is the product's `Session` and `Party` with everything around them - client, keys, ledger, journal, outbox, codec -
and a task whose update is a fixed random vector (`benchmarks.supplied`): training is not timed. It prints one JSON line
per progress event with the time of day. With `--plain` it is handed another backend.

    python -m benchmarks.party ROOT NUMBER ADDRESS [--plain]
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from afml.consortium.nodekit import load_node_kit
from afml.consortium.runfile import load_run
from afml.core.logging import configure
from afml.core.progress import Event
from afml.privacy.noise import node_std
from benchmarks.plain import PLAIN
from benchmarks.supplied import supplied_trainer
from crypto.secret.backend import Backend, backend
from node.client import Client
from node.guard import Guard, open_ledger
from node.journal import Journal
from node.party import Party
from node.patience import Patience
from node.policy import Site
from node.reach import preflight
from node.session import Session
from node.witnessing import Witnessing
from node.workspace import Workspace


def _say(event: Event) -> None:
    print(json.dumps({"time": time.time()} | asdict(event)), flush=True)


def run_node(root: Path, number: int, address: str, hidden_by: Backend) -> None:
    kit = load_node_kit(root / "kits" / f"node-{number}")
    configure(f"node-{number}")
    run = load_run(root / "run.json", kit.history)
    people = tuple(f"person-{index}" for index in range(run.enrolled[number]))
    work = Workspace(root / f"work-{number}")
    trainer = supplied_trainer(run, number, node_std(run, run.phases[0]))
    preflight(address, kit, Patience(address, 60.0))
    with closing(Client(address, kit, run)) as client, open_ledger(work, kit) as ledger:
        guard, journal = (
            Guard(ledger, run, people, Site(kit, root / "kits" / f"node-{number}").terms),
            Journal(work.run(run.run)),
        )
        guard.reserve()
        party = Party(kit, run, trainer, guard, journal, client, hidden_by, _say)
        Session(party, Witnessing(party.mailbox, ledger, kit.roster, party.journal.letters)).run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("address")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    hidden_by = PLAIN if arguments.plain else backend("ckks")
    run_node(arguments.root, arguments.number, arguments.address, hidden_by)


if __name__ == "__main__":
    main()
