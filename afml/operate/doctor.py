"""What keeps a party from taking part: everything is looked at, nothing is changed, and every failure has its cure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from afml.consortium.inforce import InForce
from afml.consortium.kit import load_roster
from afml.consortium.look import SEEN
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.route import Address
from afml.consortium.run import RunConfig
from afml.consortium.space import aggregator_bytes, node_bytes
from afml.core.errors import AfmlError, InputError
from afml.operate import machine, network, papers
from afml.operate.checked import Checked, ok, refused, skipped, tried
from afml.operate.papers import Subject
from aggregator.port import bind_check
from aggregator.standing import RunStanding


def examine(subject: Subject) -> Iterator[Checked]:
    """Look at everything that this party's part depends on, one thing after the other.

    Raises:
        InputError: There is no kit, so nobody knows whose part it is.
    """
    if not subject.kit.is_dir():
        raise InputError("kit does not exist", where=subject.kit, cure="make it with `afml keys init`")
    role = papers.role_of(subject.kit)
    yield tried("kit", lambda: papers.kit(subject.kit, role))
    yield tried("kit folder", lambda: papers.folder("kit folder", subject.kit, holds_all=False))
    yield from papers.certificates(subject)
    run, said = papers.run_of(subject)
    if said is not None:
        yield said
    yield from machine.of_machine(_nodes(subject, run) if role == "aggregator" else 0, trains=role == "node")
    if role == "node":
        yield from _node(subject, run)
    elif role == "aggregator":
        yield from _aggregator(subject, run)


def _node(subject: Subject, run: RunConfig | None) -> Iterator[Checked]:
    try:
        kit = load_node_kit(subject.kit)
    except AfmlError:  # said already, and what follows needs its keys
        kit = None
    if subject.work is not None:
        yield from _places("work folder", subject.work, node_bytes(run) if run else None)
    if subject.ledger is not None:
        yield from _places("ledger folder", subject.ledger, None)
    if kit is not None:
        yield from _of_kit(kit, subject, run)
    if run is not None:
        yield tried("task", lambda: papers.task(run))
    if not subject.address:
        yield skipped("aggregator", "no --aggregator was named")
        return
    since = InForce(subject.kit, kit.roster, subject.kit / SEEN).since("aggregator") if kit else 0
    yield from network.to_aggregator(subject.address, kit.tls if kit else None, since)


def _of_kit(kit: NodeKit, subject: Subject, run: RunConfig | None) -> Iterator[Checked]:
    try:
        yield from papers.policy(kit, subject, run)
    except AfmlError as error:
        yield refused("policy", error)
    yield tried("ledger", lambda: papers.ledger(kit, subject))
    if subject.work is not None:
        yield tried("data", lambda: papers.prepared(kit, subject, run))


def _aggregator(subject: Subject, run: RunConfig | None) -> Iterator[Checked]:
    if subject.data is not None:
        yield from _places("data folder", subject.data, aggregator_bytes(run) if run else None)
    if not subject.address:
        yield skipped("port", "no --listen was named")
        return

    def free() -> Checked:
        address = Address.of(subject.address, "--listen")
        served = _served(subject.data)
        if served is not None and Address.of(served.address).port == address.port:
            return ok("port", f"{address} is served by process {served.process}")
        bind_check((address.host, address.port))
        return ok("port", f"{address} is free")

    yield tried("port", free)


def _served(data: Path | None) -> RunStanding | None:
    """What the aggregator that works in a folder says of itself."""
    try:
        found = RunStanding.found(data) if data is not None else None
    except InputError:
        return None
    return found if found is not None and found.alive(time.time()) else None


def _places(what: str, folder: Path, needed: int | None) -> Iterator[Checked]:
    yield tried(what, lambda: papers.folder(what, folder))
    yield tried("disk", lambda: machine.disk("disk", folder, needed))


def _nodes(subject: Subject, run: RunConfig | None) -> int:
    if run is not None:
        return len(run.nodes)
    try:
        return len(load_roster(subject.kit).members)
    except AfmlError:
        return 0
