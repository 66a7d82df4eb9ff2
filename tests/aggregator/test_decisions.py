"""Power fails between any two writes of a decision: what is found afterwards is all of it, or nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from afml.consortium.orders import What
from tests.aggregator.machine import Machine
from tests.aggregator.power import Power, PowerCut


def on_disk(folder: Path) -> list[str]:
    """Everything that a process finds which starts now."""
    database = sqlite3.Connection(folder / "run.sqlite")
    try:
        return list(database.iterdump())
    finally:
        database.close()


# -- where a run stands, and what is decided there ---------------------------------------------------


def enrolling(machine: Machine) -> None:
    machine.enrol(1, 2, 3)


def gathering(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)


def too_few(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)


def paused(machine: Machine) -> None:
    too_few(machine)
    machine.wait(11)


def opened(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1, 2, 3)


def summing(machine: Machine) -> None:
    opened(machine)
    machine.upload(4)


def last_summing(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.ready()
    machine.upload()


def one_left(machine: Machine) -> None:
    opened(machine)
    machine.leave(4)


def summing_with_a_quorum(machine: Machine) -> None:
    one_left(machine)
    machine.ready(1, 2, 3)
    machine.upload()


def reported(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.report(1, 1, b"a")


Act = Callable[[Machine], object]
DECISIONS: dict[str, tuple[Act, Act]] = {
    "the last node enrols": (enrolling, lambda machine: machine.enrol(4)),
    "enrolment is over": (enrolling, lambda machine: machine.wait(11)),
    "the last node is ready": (gathering, lambda machine: machine.ready(4)),
    "a quorum is ready in time": (gathering, lambda machine: machine.wait(11)),
    "the last node leaves while others are ready": (gathering, lambda machine: machine.leave(4)),
    "a member of the cohort leaves": (opened, lambda machine: machine.leave(4)),
    "a member of the cohort declines": (opened, lambda machine: machine.decline(4, 1, 1)),
    "a member misses the deadline": (opened, lambda machine: machine.wait(11)),
    "a member of the cohort goes": (opened, lambda machine: machine.away(4)),
    "too few are ready in time": (too_few, lambda machine: machine.wait(11)),
    "a paused run has its quorum again": (paused, lambda machine: machine.ready(3)),
    "a run is held": (too_few, lambda machine: machine.order(What.PAUSE)),
    "the quorum breaks": (one_left, lambda machine: machine.leave(3)),
    "the last upload is there": (opened, lambda machine: machine.upload(4)),
    "a sum is published": (summing, lambda machine: machine.publish()),
    "the last sum is published": (last_summing, lambda machine: machine.publish()),
    "a ciphertext cannot be added": (summing, lambda machine: machine.engine.sum_failed(2, "torn")),
    "without it no quorum": (summing_with_a_quorum, lambda machine: machine.engine.sum_failed(2, "torn")),
    "a node is ready from another model": (
        gathering,
        lambda machine: machine.engine.ready(machine.token(4, 1, 1, model=b"b" * 32)),
    ),
    "models differ": (reported, lambda machine: machine.report(2, 1, b"b")),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_is_kept_as_a_whole_or_not_at_all(power: Power, tmp_path: Path, name: str) -> None:
    reach, decide = DECISIONS[name]
    scene = tmp_path / "scene"
    machine = Machine(scene)
    reach(machine)
    machine.store.close()
    before, found, said_again = on_disk(scene), [], []
    for writes in count():
        machine.path = tmp_path / f"after-{writes}-writes"
        shutil.copytree(scene, machine.path)
        machine.open()
        power.writes = writes
        try:
            decide(machine)
            whole = True
        except PowerCut:
            whole = False
        power.writes = power.FULL
        machine.store.close()
        found.append(on_disk(machine.path))
        if whole:
            break
        machine.open()
        decide(machine)
        machine.store.close()
        said_again.append(on_disk(machine.path))
    assert found[-1] != before
    assert len(found) > 2, "the decision is one write and its commit, or more"
    assert [state for state in found if state not in (before, found[-1])] == [], "a decision was cut in two"
    assert all(state == found[-1] for state in said_again), "who was not answered says it again"
