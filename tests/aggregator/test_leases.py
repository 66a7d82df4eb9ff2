"""One process at a time speaks for a node; who takes over from one that is gone gathers anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.lease import LEASE_BYTES, draw_lease
from afml.core.errors import ProtocolError, Superseded, Twin
from aggregator.leases import Leases
from tests.aggregator.machine import Machine

ONE, TWO = b"1" * LEASE_BYTES, b"2" * LEASE_BYTES


@given(st.lists(st.tuples(st.sampled_from(["claim", "follow", "end"]), st.sampled_from([ONE, TWO])), max_size=30))
def test_whoever_follows_the_run_is_the_only_one_heard(said: list[tuple[str, bytes]]) -> None:
    """Against a list of open streams."""
    leases, streams, holder = Leases(), [], b""
    for what, lease in said:
        refused = bool(streams) and streams[0][0] != lease
        if what == "end":
            if streams:
                streams.pop()[1].__exit__(None, None, None)
        elif refused:
            with pytest.raises(Twin, match=r"for node 3, since .* from somewhere:1"):
                leases.claim(3, lease, "somewhere:2")
        elif what == "claim":
            leases.claim(3, lease, "somewhere:1")
            holder = lease
        elif leases.holds(3, lease):
            streams.append((lease, following := leases.following(3)))
            following.__enter__()
        assert [leases.holds(3, one) for one in (ONE, TWO)] == [holder == ONE, holder == TWO]
    leases.claim(4, TWO, "somewhere:3")  # what one node does says nothing of another


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_process_that_takes_over_while_an_attempt_gathers_begins_it_anew(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1, 2)
    machine.enrol(2)  # its connection broke
    assert machine.at == ("gathering", 1, 1)
    machine.leases[2] = draw_lease()
    machine.enrol(2)  # it was started again
    assert (machine.at, machine.reason) == (("gathering", 1, 2), "node 2 went away and may come back")
    machine.leases[3] = draw_lease()
    machine.enrol(3)  # it had joined nothing
    assert machine.at == ("gathering", 1, 2)
    machine.ready()
    assert machine.cohort == [1, 2, 3, 4]
    assert {token.lease for token in machine.tokens} == set(machine.leases.values())


def test_a_process_that_takes_over_while_an_attempt_is_open_has_it_to_decline_or_to_send(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.upload(1)
    machine.leases[2] = draw_lease()
    machine.enrol(2)
    assert machine.at == ("open", 1, 1)
    assert machine.upload(2, 3, 4), "stored bytes are those of the process before"
    assert machine.at == ("summing", 1, 1)


def test_nobody_joins_an_attempt_twice(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1)
    machine.ready(1)
    machine.leases[1] = draw_lease()
    with pytest.raises(Superseded, match="another process of node 1 has joined round 1, attempt 1"):
        machine.ready(1)
    machine.leases[1] = b"short"
    with pytest.raises(ProtocolError):
        Leases().claim(1, machine.leases[1], "")
