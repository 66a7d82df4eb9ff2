"""The round state machine: what it admits, what it refuses, what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afml.core.errors import ConfigError, IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.engine import Superseded
from aggregator.store import Store, Upload
from tests.federation.machine import PARAMETERS, Machine, small_run


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.store.close()


# -- enrolment ---------------------------------------------------------------------------------------


def test_enrolment_is_idempotent_and_closes_when_all_are_there(machine: Machine) -> None:
    machine.enrol(1, 2)
    machine.enrol(1, 2)
    assert machine.at == ("enrolling", 0, 0)
    machine.enrol(3, 4)
    assert machine.at == ("gathering", 1, 1)
    machine.enrol(1)
    assert [one.node for one in machine.engine.enrolments()] == [1, 2, 3, 4]


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
        machine.engine.enrolments()


def test_the_quorum_goes_ahead_after_the_deadline_and_latecomers_are_refused(machine: Machine) -> None:
    machine.enrol(1, 2, 3)
    machine.wait(9)
    assert machine.at[0] == "enrolling"
    machine.wait(2)
    assert machine.at == ("gathering", 1, 1)
    with pytest.raises(ProtocolError, match="closed"):
        machine.enrol(4)


def test_too_few_nodes_fail_the_run_with_the_reason(machine: Machine) -> None:
    machine.enrol(1, 2)
    machine.wait(11)
    assert machine.at[0] == "failed"
    assert "only 2 of quorum 3 nodes enrolled" in machine.reason


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
    state = machine.engine.state()
    assert state.stage == wire.STAGE_OPEN
    assert list(state.cohort) == [machine.token(node, 1, 1) for node in (1, 2, 3, 4)]


def test_nobody_ready_fails_the_run(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)
    machine.wait(11)
    assert machine.at[0] == "failed"
    assert "only 2 of quorum 3 nodes were ready" in machine.reason


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
def test_an_upload_for_anything_else_is_refused(
    machine: Machine, changes: dict[str, object], error: str
) -> None:
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
    assert set(machine.store.uploads(1, 1)) == {1}


def test_updates_of_different_sizes_do_not_meet(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1)
    with pytest.raises(ProtocolError, match="another size"):
        machine.engine.uploaded(1, 1, Upload(2, 2, PARAMETERS, 100, "{}"))


# -- lost attempts -----------------------------------------------------------------------------------


def test_a_member_that_misses_the_deadline_costs_the_attempt(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1, 2, 3)
    machine.wait(11)
    assert machine.at == ("gathering", 1, 2)
    machine.ready(1, 2, 3)  # node 4 is not waited for
    assert machine.at == ("open", 1, 2)
    assert machine.cohort == [1, 2, 3]
    with pytest.raises(Superseded, match="not open"):
        machine.engine.expects_upload(machine.header(4, attempt=1))
    assert machine.upload()
    machine.publish()
    assert machine.store.published(1) == (2, 1, PARAMETERS)


def test_a_node_that_comes_back_is_waited_for_again(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2, 3)
    machine.wait(11)
    machine.upload()
    machine.publish()
    machine.enrol(4)  # its process was started again
    machine.ready(1, 2, 3)
    assert machine.at == ("gathering", 2, 1)
    machine.ready(4)
    assert machine.cohort == [1, 2, 3, 4]


def test_a_declined_attempt_is_replaced(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.decline(2, 1, 1)
    assert machine.at == ("gathering", 1, 2)
    machine.decline(2, 1, 1)  # its answer was lost: said again, it harms nobody
    assert machine.at == ("gathering", 1, 2)


def test_a_leaver_is_missed_until_the_quorum_breaks(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.leave(4, "budget spent\nsecond line")
    assert machine.at == ("gathering", 1, 2)
    with pytest.raises(ProtocolError, match="has left run r: budget spent"):
        machine.engine.ready(machine.token(4, 1, 2))
    machine.ready(1, 2, 3)
    assert machine.cohort == [1, 2, 3]
    machine.leave(3, "power \x1b[2Jcut")
    assert machine.at[0] == "failed"
    assert "node 3 left (power [2Jcut); 2 are left, quorum is 3" in machine.reason


def test_leaving_after_the_last_upload_does_not_undo_the_sum(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload()
    machine.leave(4)
    assert machine.at == ("summing", 1, 1)
    machine.publish()
    assert machine.at == ("gathering", 2, 1)


def test_a_ciphertext_that_cannot_be_added_removes_its_sender(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload()
    machine.engine.sum_failed(2, "not a ciphertext")
    assert machine.at == ("gathering", 1, 2)
    machine.ready(1, 3, 4)
    assert machine.cohort == [1, 3, 4]


def test_chatter_does_not_move_a_deadline(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    for _ in range(8):
        machine.wait(1.5)
        if machine.at[0] == "gathering":
            machine.report(1, 1)
            machine.engine.ready(machine.token(1, 2, 1))
    assert machine.at[0] == "failed"


# -- endings -----------------------------------------------------------------------------------------


def test_the_run_settles_when_everybody_has_the_last_model(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.play_round()
    assert machine.at[0] == "finished"
    machine.report(1, 2)
    machine.report(2, 2)
    machine.report(3, 2)
    assert not machine.engine.settled()
    machine.report(4, 2)
    assert machine.engine.settled()


def test_a_finished_run_does_not_wait_for_the_dead(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.play_round()
    machine.report(1, 2)
    # Without a game phase the panel part follows the last round, so its time counts too.
    machine.wait(99)
    assert not machine.engine.settled()
    machine.wait(2)
    assert machine.engine.settled()


def test_different_models_fail_the_run_and_name_the_sides(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.report(1, 1, b"a")
    machine.report(3, 1, b"a")
    machine.report(2, 1, b"b")
    assert machine.at[0] == "failed"
    assert "different models after round 1: [1, 3] / [2]" in machine.reason


def test_a_digest_of_an_unpublished_round_is_refused(machine: Machine) -> None:
    machine.enrol()
    with pytest.raises(ProtocolError, match="not published"):
        machine.report(1, 1)


# -- restarts ----------------------------------------------------------------------------------------


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
    before = machine.engine.state(), machine.store.tokens(1, 1), machine.store.uploads(1, 1)
    machine.restart()
    assert (machine.engine.state(), machine.store.tokens(1, 1), machine.store.uploads(1, 1)) == before


def test_a_restart_gives_a_stage_its_time_again(machine: Machine) -> None:
    machine.enrol()
    machine.wait(9)
    machine.restart()
    machine.wait(9)
    assert machine.at[0] == "gathering"


def test_a_folder_serves_one_run(tmp_path: Path) -> None:
    Store(tmp_path / "run.sqlite", small_run().digest()).close()
    with pytest.raises(ConfigError, match="another run's state"):
        Store(tmp_path / "run.sqlite", small_run(rounds=3).digest())
