"""Many nodes that agree on keys and countersign each other's ledgers, several in a process, a thread each.

A node is the product's `Party` with its own kit, ledger, journal and connection over mutual TLS; the aggregator is the
product's command. Nothing is trained. What is timed:

keys: from the moment when the last node has enrolled until the last node holds the run's key, and has made its pair
secret with every other node and checked that one's confirmation of both.

countersigning, before the first round (`meet`) and after the last (`part`): from the moment when all begin until the
last node has checked and remembered the heads of all others, and, after the last round, holds the countersignatures of
all others under its own.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from afml.consortium.attempt import Attempt
from afml.consortium.nodekit import load_node_kit
from afml.consortium.runfile import load_run
from afml.consortium.stage import Stage
from afml.core.logging import configure
from crypto.secret.backend import backend
from node import keys as run_keys
from node.client import Client
from node.guard import Guard, open_ledger
from node.journal import Journal
from node.party import Party
from node.policy import Site
from node.witnessing import Witnessing
from node.workspace import Workspace

PROCESSES = 2
WAIT_S = 120.0


@dataclass(frozen=True)
class Took:
    """Seconds of one node, or of all: its keys, the exchange before the first round, that after the last."""

    keys_s: float
    meet_s: float
    part_s: float


def measure(root: Path, address: str, nodes: Sequence[int]) -> Took:
    """Run these nodes against a serving aggregator.

    Args:
        root: Holds `kits` and `run.json`.
        address: Of the aggregator.
        nodes: All of the run.

    Raises:
        RuntimeError: One of them could not go on; says why.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(nodes))
    shares = [list(nodes)[index::PROCESSES] for index in range(PROCESSES)]
    results: Any = context.Queue()
    workers = [context.Process(target=_work, args=(root, address, share, barrier, results)) for share in shares]
    every: list[Took] = []
    try:
        for worker in workers:
            worker.start()
        for _ in workers:
            one = results.get(timeout=10 * WAIT_S)
            if isinstance(one, str):
                raise RuntimeError(one)
            every += one
    finally:  # where one node cannot go on, the others wait for it
        for worker in workers:
            worker.terminate()
            worker.join()
    return Took(*(max(getattr(one, name) for one in every) for name in ("keys_s", "meet_s", "part_s")))


def _work(root: Path, address: str, nodes: Sequence[int], barrier: Barrier, results: Any) -> None:
    configure("nodes")
    pool = ThreadPoolExecutor(len(nodes))
    try:
        working = [pool.submit(_node, root, address, node, barrier) for node in nodes]
        results.put([one.result() for one in as_completed(working)])
    except BaseException as error:  # noqa: BLE001 whatever it is, who measures is told
        results.put(repr(error))


def _node(root: Path, address: str, number: int, barrier: Barrier) -> Took:
    kit = load_node_kit(root / "kits" / f"node-{number}")
    run, work = load_run(root / "run.json", kit.history), Workspace(root / f"work-{number}")
    people = tuple(f"person-{index}" for index in range(run.enrolled[number]))
    peers = [node for node in run.nodes if node != number]
    with closing(Client(address, kit, run)) as client, open_ledger(work, kit) as ledger:
        guard = Guard(ledger, run, people, Site(kit, root / "kits" / f"node-{number}").terms)
        guard.reserve()
        trainer: Any = None
        party = Party(kit, run, trainer, guard, Journal(work.run(run.run)), client, backend(run.backend))
        witnessing = Witnessing(party.mailbox, ledger, kit.roster, party.journal.letters)
        client.enrol(run_keys.pad_keys(party.journal, run.key_agreement).public, party.lease)
        party.news = client.watch()
        next(state for state in party.news if Stage.of(state.stage) is Stage.GATHERING)

        def keys() -> None:
            run_keys.confirm(party, run_keys.agree(party), peers)  # not `party.keys`: Python locks it over all parties

        def meet() -> None:
            witnessing.meet(peers, wait_s=WAIT_S)
            assert witnessing.met == set(peers)

        def part() -> None:
            assert sorted(witnessing.part(peers, wait_s=WAIT_S)) == peers

        keys_s, meet_s = _timed(keys, barrier), _timed(meet, barrier)
        guard.spend(party.bind(Attempt(1, 1), dict.fromkeys(run.nodes, party.lease)))
        return Took(keys_s, meet_s, _timed(part, barrier))


def _timed(work: Callable[[], None], barrier: Barrier) -> float:
    """Seconds of what all nodes begin together."""
    barrier.wait(10 * WAIT_S)
    began = time.monotonic()
    work()
    return time.monotonic() - began
