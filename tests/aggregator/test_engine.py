"""What the round state machine admits and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.core.errors import IntegrityError, ProtocolError, Superseded
from afml.wire import federation_pb2 as wire
from aggregator import announcements
from aggregator.store.base import Upload
from tests.aggregator.machine import PARAMETERS, Machine, small_run

FIRST = Attempt(1, 1)

# -- enrolment ---------------------------------------------------------------------------------------


def test_enrolment_is_idempotent_and_closes_when_all_are_there(machine: Machine) -> None:
    machine.enrol(1, 2)
    machine.enrol(1, 2)
    assert machine.at == ("enrolling", 0, 0)
    machine.enrol(3, 4)
    assert machine.at == ("gathering", 1, 1)
    machine.enrol(1)
    assert [one.node for one in announcements.enrolments(machine.store)] == [1, 2, 3, 4]


def test_another_pad_key_of_the_same_node_is_refused(machine: Machine) -> None:
    machine.enrol(1)
    with pytest.raises(ProtocolError, match="another pad key"):
        machine.engine.enrol(machine.enrolment(1, pad=b"x" * 32))


def test_strangers_and_forgers_do_not_enrol(machine: Machine) -> None:
    stranger = machine.enrolment(1)
    stranger.node = 9
    with pytest.raises(ProtocolError, match="node 9 is not enrolled"):
        machine.engine.enrol(stranger)
    forged = machine.enrolment(1)
    forged.node = 2
    with pytest.raises(IntegrityError, match="node 2 does not match"):
        machine.engine.enrol(forged)
    other_run = machine.enrolment(1)
    other_run.config_digest = bytes(32)
    with pytest.raises(ProtocolError, match="another run configuration"):
        machine.engine.enrol(other_run)


def test_a_list_of_enrolments_is_given_only_once_it_is_final(machine: Machine) -> None:
    machine.enrol(1, 2)
    with pytest.raises(ProtocolError, match="still open"):
        announcements.enrolments(machine.store)


def test_the_quorum_goes_ahead_after_the_deadline_and_latecomers_are_refused(machine: Machine) -> None:
    machine.enrol(1, 2, 3)
    machine.wait(9)
    assert machine.at[0] == "enrolling"
    machine.wait(2)
    assert machine.at == ("gathering", 1, 1)
    with pytest.raises(ProtocolError, match="closed"):
        machine.enrol(4)


def test_too_few_nodes_are_waited_for_and_grace_runs_from_the_quorum_on(machine: Machine) -> None:
    machine.enrol(1, 2)
    machine.wait(10_000)
    assert machine.at[0] == "enrolling"
    assert machine.awaited == [3, 4]
    machine.enrol(3)
    machine.wait(9)
    machine.enrol(1)  # chatter moves no deadline
    assert machine.at[0] == "enrolling"
    machine.wait(2)
    assert machine.at == ("gathering", 1, 1)


def test_grace_is_a_setting_of_the_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path, small_run(enrolment_grace_s=100.0))
    machine.enrol(1, 2, 3)
    machine.wait(99)
    assert machine.at[0] == "enrolling"
    machine.restart()  # a deadline runs from the start of the process that holds it
    machine.wait(99)
    assert machine.at[0] == "enrolling"
    machine.wait(2)
    assert machine.at == ("gathering", 1, 1)
    machine.store.close()


def test_nodes_that_left_before_the_run_began_are_no_quorum(machine: Machine) -> None:
    machine.enrol(1, 2, 3)
    machine.leave(3)
    machine.wait(11)
    assert machine.at[0] == "enrolling"
    machine.leave(2)
    assert machine.at[0] == "failed"
    assert machine.reason == "node 2 left (its ledger or policy does not allow the next spend); 2 are left, quorum is 3"


# -- cohorts -----------------------------------------------------------------------------------------


def test_the_cohort_is_fixed_once_when_everybody_is_ready(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    assert machine.at[0] == "gathering"
    machine.ready(1)  # a lost answer
    machine.ready(4)
    assert machine.at == ("open", 1, 1)
    assert machine.cohort == [1, 2, 3, 4]
    machine.engine.ready(machine.token(2, 1, 1))  # again, after a lost answer: confirmed
    assert machine.cohort == [1, 2, 3, 4]


def test_a_late_token_never_enters_a_fixed_cohort(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    machine.wait(11)
    assert machine.at == ("open", 1, 1)
    assert machine.cohort == [1, 2, 3]
    with pytest.raises(Superseded, match="already fixed"):
        machine.engine.ready(machine.token(4, 1, 1))
    assert machine.cohort == [1, 2, 3]


@pytest.mark.parametrize(("round_number", "attempt"), [(2, 1), (1, 2), (0, 0)])
def test_a_token_for_another_attempt_is_refused(machine: Machine, round_number: int, attempt: int) -> None:
    machine.enrol()
    with pytest.raises(Superseded, match="not gathering"):
        machine.engine.ready(machine.token(1, round_number, attempt))


def test_a_token_signed_by_somebody_else_is_refused(machine: Machine) -> None:
    machine.enrol()
    with pytest.raises(IntegrityError):
        machine.engine.ready(machine.token(1, 1, 1, signer=2))


def test_announced_cohorts_carry_the_members_own_tokens(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    state = announcements.run_state(machine.store, machine.config)
    assert state.stage == wire.STAGE_OPEN
    assert list(state.cohort) == [machine.token(node, 1, 1) for node in (1, 2, 3, 4)]


def test_too_few_ready_pause_the_run_and_the_absent_are_named(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)
    machine.wait(11)
    assert machine.at == ("paused", 1, 1)
    assert machine.reason == "round 1: only 2 of quorum 3 nodes are there, nodes [3, 4] are absent"
    assert machine.awaited == [3, 4]
    machine.wait(1_000_000)
    machine.restart()
    machine.wait(1_000_000)
    assert machine.at == ("paused", 1, 1)
    machine.ready(3)
    assert machine.at == ("gathering", 1, 2), "who signed long ago may be gone"
    machine.ready(1, 2, 3)
    assert machine.at == ("gathering", 1, 2), "node 4 was awaited again when the aggregator was"
    machine.wait(11)
    assert (machine.at, machine.cohort) == (("open", 1, 2), [1, 2, 3])


# -- uploads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cohort_digest": bytes(32)}, "padded for another cohort"),
        ({"round": 2}, "not open"),
        ({"attempt": 2}, "not open"),
        ({"parameters": 7}, "7 parameters announced"),
        ({"config_digest": bytes(32)}, "another run configuration"),
        ({"node": 9}, "node 9 is not enrolled"),
    ],
)
def test_an_upload_for_anything_else_is_refused(machine: Machine, changes: dict[str, object], error: str) -> None:
    machine.enrol()
    machine.ready()
    with pytest.raises(ProtocolError, match=error):
        machine.engine.expects_upload(machine.header(1, **changes))


def test_a_node_outside_the_cohort_may_not_upload(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    machine.wait(11)
    with pytest.raises(ProtocolError, match="node 4 is not in the cohort"):
        machine.engine.expects_upload(machine.header(4))


def test_a_second_upload_is_not_wanted_and_not_counted(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1)
    assert machine.engine.expects_upload(machine.header(1)) is False
    assert set(machine.store.attempts.uploads(FIRST)) == {1}


def test_updates_of_different_sizes_do_not_meet(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1)
    with pytest.raises(ProtocolError, match="another size"):
        machine.engine.uploaded(FIRST, Upload(2, 2, PARAMETERS, 100, "{}"))
