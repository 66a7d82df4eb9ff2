"""A sum that a node refuses is written down, and ends the run; nothing else that is said so does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Cause, Reason
from afml.consortium.refusal import Refusal
from afml.core.errors import IntegrityError, ProtocolError
from tests.aggregator.machine import Machine, small_run

SUM = bytes(range(32))


@pytest.fixture
def verifying(tmp_path: Path) -> Machine:
    """After round 1 of 2, of a run whose sums are verified."""
    (tmp_path / "verifying").mkdir()
    made = Machine(tmp_path / "verifying", small_run(verified_sums=True))
    made.enrol()
    made.ready()
    made.upload()
    made.publish()
    return made


def refusal(machine: Machine, node: int, *, signer: int | None = None, **changes: Any) -> Refusal:
    config, at = changes.get("config", machine.config), changes.get("at", Attempt(1, 1))
    return Refusal.signed_by(machine.keys[signer or node], node, config, at, SUM)


def test_a_refused_sum_is_written_down_and_ends_the_run(verifying: Machine) -> None:
    written: list[Refusal] = []

    def write(said: Refusal) -> None:
        assert verifying.at == ("gathering", 2, 1), "before anybody is told"
        written.append(said)

    said = refusal(verifying, 3)
    verifying.engine.leave(said.notice, write)
    assert written == [said]
    assert verifying.at == ("failed", 2, 1)
    cause = Cause(reason=Reason.SUM_NOT_VERIFIED, round=1, sides=((3,),))
    assert verifying.store.position().cause == cause
    assert cause.text(3) == "node 3 found that the sum of round 1 is not that of what its nodes encrypted"
    verifying.engine.leave(said.notice, write)  # its answer was lost
    assert written == [said]
    another = refusal(verifying, 2)
    verifying.engine.leave(another.notice, written.append)  # who finds it later is written down as well
    assert written == [said, another]
    assert verifying.store.position().cause == cause


def test_a_refused_last_sum_ends_a_run_that_was_finished(verifying: Machine) -> None:
    verifying.ready()
    verifying.upload()
    verifying.publish()
    assert verifying.at == ("finished", 2, 1)
    verifying.engine.leave(refusal(verifying, 1, at=Attempt(2, 1)).notice)
    assert verifying.at == ("failed", 2, 1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"at": Attempt(2, 1)}, "node 3 refuses the sum of round 2, attempt 1, which was not published"),
        ({"at": Attempt(1, 2)}, "node 3 refuses the sum of round 1, attempt 2, which was not published"),
        ({"signer": 4}, "signature of node 3 does not match its roster key"),
        ({"config": small_run(verified_sums=True, rounds=3)}, "speaks of another run configuration"),
    ],
)
def test_what_is_no_refusal_of_a_published_sum_changes_nothing(
    verifying: Machine, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises((ProtocolError, IntegrityError), match=problem):
        verifying.engine.leave(refusal(verifying, 3, **changes).notice, lambda _: pytest.fail("was written down"))
    assert verifying.at == ("gathering", 2, 1)


def test_refusals_without_a_sum_or_of_runs_whose_sums_are_believed_are_none(
    verifying: Machine, machine: Machine
) -> None:
    bare = refusal(verifying, 3).notice
    bare.ClearField("refused")
    with pytest.raises(ProtocolError, match="node 3 refuses a sum and does not say which"):
        verifying.engine.leave(bare)
    machine.enrol()
    with pytest.raises(ProtocolError, match="is not about a sum that run r verifies"):
        machine.engine.leave(refusal(machine, 3).notice)
    assert machine.at == ("gathering", 1, 1)
