"""What an attempt is lost by, how a run goes on without a node, and how it ends."""

from __future__ import annotations

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Cause, Reason
from afml.core.errors import IntegrityError, ProtocolError, Superseded
from aggregator import announcements
from aggregator.store.base import Published
from tests.aggregator.machine import PARAMETERS, Machine

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
    assert machine.store.rounds.published(1) == Published(Attempt(1, 2), 1, PARAMETERS)


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
    machine.leave(4)
    assert machine.at == ("gathering", 1, 2)
    with pytest.raises(ProtocolError, match=r"has left run r \(spend-refused\)"):
        machine.engine.ready(machine.token(4, 1, 2))
    machine.ready(1, 2, 3)
    assert machine.cohort == [1, 2, 3]
    machine.leave(3, Reason.CHECK_FAILED)
    assert machine.at[0] == "failed"
    assert machine.reason == (
        "node 3 left (something that it was sent did not pass its checks); 2 are left, quorum is 3"
    )


def test_who_has_left_may_say_so_again_by_its_own_signature(machine: Machine) -> None:
    machine.enrol()
    machine.leave(4, Reason.BY_HAND)
    before = machine.at, machine.store.members.all(), machine.engine.version
    machine.leave(4, Reason.SPEND_REFUSED)  # its answer was lost
    assert (machine.at, machine.store.members.all(), machine.engine.version) == before
    with pytest.raises(IntegrityError, match="node 4 does not match its roster key"):
        machine.leave(4, signer=3)
    with pytest.raises(ProtocolError, match="has left run r"):
        machine.away(4)


def test_only_members_decline_and_only_by_their_own_signature(machine: Machine) -> None:
    machine.enrol()
    with pytest.raises(ProtocolError, match="node 2 is not in the cohort of round 1, attempt 1"):
        machine.decline(2, 1, 1)  # nothing is fixed yet
    machine.ready(1, 2, 3)
    machine.wait(11)
    with pytest.raises(ProtocolError, match="node 4 is not in the cohort"):
        machine.decline(4, 1, 1)
    with pytest.raises(IntegrityError, match="node 2 does not match its roster key"):
        machine.decline(2, 1, 1, signer=4)
    with pytest.raises(IntegrityError, match="node 2 does not match its roster key"):
        machine.leave(2, signer=4)
    assert (machine.at, machine.cohort) == (("open", 1, 1), [1, 2, 3])
    machine.leave(4)  # it is in the run, and not in this attempt
    assert (machine.at, machine.cohort) == (("open", 1, 1), [1, 2, 3])
    assert machine.upload()


def test_a_node_gives_a_reason_from_the_list_or_none(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.leave(4, Reason.TOO_FEW_READY)  # what only an aggregator may say
    assert machine.reason == "node 4 left (no reason given)"
    cause = announcements.run_state(machine.store, machine.config).cause
    assert Cause.of(cause, machine.config.nodes).text(3) == machine.reason


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
    assert machine.at == ("paused", 2, 1)


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
    for node in (1, 2, 3):
        machine.report(node, 2)
    # Without a game phase the panel part follows the last round, so its time counts too.
    machine.wait(99)
    assert not machine.engine.settled()
    machine.wait(2)
    assert machine.engine.settled()


def test_a_run_is_not_finished_before_a_quorum_has_the_model(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.play_round()
    machine.report(1, 2)
    machine.report(2, 2)
    machine.wait(10_000)
    assert not machine.engine.settled()
    assert machine.awaited == [3, 4]
    machine.restart()  # whoever comes now is served as long as it takes
    machine.report(3, 2)
    assert not machine.engine.settled()
    machine.wait(101)
    assert machine.engine.settled()


def test_different_models_fail_the_run_and_name_the_sides(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.report(1, 1, b"a")
    machine.report(3, 1, b"a")
    machine.report(2, 1, b"b")
    assert machine.at[0] == "failed"
    assert "different models after round 1: [1, 3] / [2]" in machine.reason


def test_ready_tokens_from_different_models_end_the_run_before_anybody_spends(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    for node in (1, 3):
        machine.engine.ready(machine.token(node, 2, 1))
    machine.engine.ready(machine.token(2, 2, 1, model=b"b" * 32))
    assert machine.at == ("failed", 2, 1)
    assert machine.reason == "nodes hold different models after round 1: [1, 3] / [2]"
    with pytest.raises(ProtocolError):
        machine.engine.ready(machine.token(4, 2, 1))


def test_a_ready_from_no_model_is_refused(machine: Machine) -> None:
    machine.enrol()
    with pytest.raises(ProtocolError, match="node 1 is ready from no model"):
        machine.engine.ready(machine.token(1, 1, 1, model=b""))


def test_a_digest_of_an_unpublished_round_is_refused(machine: Machine) -> None:
    machine.enrol()
    with pytest.raises(ProtocolError, match="not published"):
        machine.report(1, 1)


@pytest.mark.parametrize("sent", [(1, 2), (1, 2, 3, 4)])
def test_updates_whose_bytes_are_lost_are_awaited_again_in_the_same_attempt(
    machine: Machine, sent: tuple[int, ...]
) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(*sent)
    attempt, cohort = machine.attempt, machine.cohort
    machine.engine.uploads_lost(attempt, [1, 2])
    assert machine.at == ("open", *attempt)
    assert machine.cohort == cohort
    assert machine.awaited == [node for node in cohort if node not in sent or node in (1, 2)]
    assert machine.upload()
    assert machine.at == ("summing", *attempt)
