"""A run that waits: for nodes that went away, and for whoever has the right to let it go on."""

from __future__ import annotations

import pytest

from afml.consortium.orders import What
from afml.core.errors import ProtocolError, Superseded
from tests.aggregator.machine import Machine

# -- away and back -----------------------------------------------------------------------------------


def test_a_node_that_says_it_goes_is_not_waited_for(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    machine.away(4)
    assert (machine.at, machine.cohort) == (("open", 1, 1), [1, 2, 3])
    machine.upload(1)
    machine.away(1)  # its update is there already
    assert machine.at == ("open", 1, 1)
    machine.away(2)
    assert machine.at == ("paused", 1, 2)
    assert machine.reason == "round 1: only 1 of quorum 3 nodes are there, nodes [1, 2, 4] are absent"
    for node in (1, 2, 4):
        machine.enrol(node)
        machine.ready(node)
    assert machine.at == ("gathering", 1, 3)
    machine.ready(1, 2, 3, 4)
    assert machine.cohort == [1, 2, 3, 4]


def test_a_token_of_a_node_that_went_is_worth_nothing(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 4)
    machine.away(4)
    assert machine.at == ("gathering", 1, 2)
    assert machine.reason == "node 4 went away and may come back"
    machine.ready(1, 2, 3)
    assert machine.cohort == [1, 2, 3]


# -- orders ------------------------------------------------------------------------------------------


def test_a_pause_lets_the_attempt_under_way_end(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.order(What.PAUSE)
    assert machine.at == ("open", 1, 1)
    machine.upload()
    machine.publish()
    assert machine.at == ("paused", 2, 1)
    assert machine.awaited == []
    with pytest.raises(Superseded, match="not gathering"):
        machine.engine.ready(machine.token(1, 2, 1))
    machine.restart()
    machine.wait(1_000_000)
    assert machine.at == ("paused", 2, 1)
    machine.order(What.RESUME)
    assert machine.at == ("gathering", 2, 1)
    machine.ready(1)
    machine.order(What.PAUSE)
    machine.order(What.PAUSE)
    assert machine.at == ("paused", 2, 1)
    machine.order(What.RESUME)
    assert machine.at == ("gathering", 2, 2), "tokens from before a pause do not count"


def test_a_run_that_is_paused_for_its_quorum_can_be_held_too(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)
    machine.wait(11)
    machine.order(What.PAUSE)
    with pytest.raises(Superseded):
        machine.ready(3)
    machine.order(What.RESUME)  # node 3 has been heard of: it is waited for
    machine.ready(1, 2, 3)
    assert machine.cohort == [1, 2, 3]


def test_a_run_that_cannot_have_its_quorum_pauses_at_once(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1, 2)
    machine.wait(11)
    assert machine.at == ("paused", 1, 2)
    assert machine.reason == "round 1: only 2 of quorum 3 nodes are there, nodes [3, 4] are absent"


def test_enrolment_is_closed_by_order_with_a_quorum(machine: Machine) -> None:
    machine.enrol(1, 2)
    with pytest.raises(ProtocolError, match="enrolment has 2 nodes; the run begins with a quorum of 3"):
        machine.order(What.CLOSE_ENROLMENT)
    machine.enrol(3)
    machine.order(What.CLOSE_ENROLMENT)
    assert machine.at == ("gathering", 1, 1)
    with pytest.raises(ProtocolError, match="is closed already"):
        machine.order(What.CLOSE_ENROLMENT)


def test_a_stage_is_extended_and_a_run_ended_by_order(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.order(What.EXTEND, seconds=100)
    machine.wait(109)
    assert machine.at == ("open", 1, 1)
    machine.wait(2)
    assert machine.at[0] != "open"
    machine.order(What.ABORT)
    assert (machine.at[0], machine.reason) == ("failed", "ended by order")
    with pytest.raises(ProtocolError, match="run r is over"):
        machine.order(What.RESUME)
