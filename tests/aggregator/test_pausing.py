"""A run that waits: for nodes that went away, and for whoever has the right to let it go on."""

from __future__ import annotations

import pytest

from afml.consortium.makers import RUN_KEY, Maker
from afml.consortium.orders import What
from afml.consortium.reasons import Reason
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


def test_a_token_of_a_node_that_left_is_worth_nothing(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    machine.leave(3, Reason.BY_HAND)
    assert machine.at == ("gathering", 1, 2)
    assert "node 3 left" in machine.reason
    machine.ready(1, 2)
    assert machine.at == ("gathering", 1, 2)
    machine.ready(4)
    assert (machine.at, machine.cohort) == (("open", 1, 2), [1, 2, 4]), "nobody waits for who is gone"
    assert machine.upload(1, 2, 4)


def test_a_pause_before_anybody_can_be_ready_ends_where_a_quorum_is_back(machine: Machine) -> None:
    machine.enrol()  # node 1 makes the key, and dies
    machine.away(2)
    machine.away(3)
    assert machine.at == ("paused", 1, 1)
    machine.enrol(2)
    assert machine.at == ("gathering", 1, 2), "with node 1, which is not known to be dead, there are three"
    machine.enrol(3)
    machine.wait(11)
    assert machine.at == ("gathering", 1, 3)
    assert machine.store.makers.all()[RUN_KEY] == Maker(2), "the next in line"
    machine.ready(2, 3, 4)
    assert machine.cohort == [2, 3, 4]


def test_a_node_that_is_back_does_not_end_a_pause_that_was_ordered(machine: Machine) -> None:
    machine.enrol()
    machine.order(What.PAUSE)
    machine.away(2)
    machine.enrol(2)
    assert machine.at == ("paused", 1, 1)


def test_a_folder_that_was_lost_is_nobody_who_is_there(machine: Machine) -> None:
    machine.enrol()
    machine.away(4)
    with pytest.raises(ProtocolError, match="with another pad key"):
        machine.engine.enrol(machine.enrolment(4, pad=bytes(32)))
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


def test_what_has_no_deadline_is_not_extended(machine: Machine) -> None:
    machine.enrol(1, 2)
    with pytest.raises(ProtocolError, match="run r: no deadline runs; it waits without one"):
        machine.order(What.EXTEND, seconds=100)
    assert machine.store.orders.all() == {}
    machine.enrol(3)  # a quorum: the grace runs
    machine.order(What.EXTEND, seconds=100)
    machine.wait(109)
    assert machine.at[0] == "enrolling"
    machine.wait(2)
    assert machine.at[0] == "gathering"


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
