"""A restart stands where it stood, at whatever instant the power went."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from afml.consortium.attempt import Attempt
from aggregator import announcements
from tests.aggregator.machine import Machine

FIRST = Attempt(1, 1)


def _enrolled(machine: Machine) -> None:
    machine.enrol()


def _some_ready(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)


def _open_with_two_uploads(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1, 4)


def _summing(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload()


def _second_attempt(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.decline(1, 1, 1)


def _finished(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.play_round()


@pytest.mark.parametrize(
    "reach", [_enrolled, _some_ready, _open_with_two_uploads, _summing, _second_attempt, _finished]
)
def test_a_restart_stands_where_it_stood(machine: Machine, reach: Callable[[Machine], None]) -> None:
    reach(machine)
    before = (
        announcements.run_state(machine.store, machine.config),
        machine.store.attempts.tokens(FIRST),
        machine.store.attempts.uploads(FIRST),
    )
    machine.restart()
    assert (
        announcements.run_state(machine.store, machine.config),
        machine.store.attempts.tokens(FIRST),
        machine.store.attempts.uploads(FIRST),
    ) == before


def test_a_restart_gives_a_stage_its_time_again(machine: Machine) -> None:
    machine.enrol()
    machine.wait(9)
    machine.restart()
    machine.wait(9)
    assert machine.at[0] == "gathering"
