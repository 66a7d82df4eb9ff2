"""Many nodes that only agree on keys and countersign: what is timed has happened, in every ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium.nodekit import load_node_kit
from afml.ledger.checkpoint import countersigners
from afml.trial.processes import free_port
from benchmarks import federation, many, rounds
from node.guard import open_ledger
from node.workspace import Workspace
from tests import warm

NODES = range(1, 5)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rounds, "LAUNCH", warm.Popen)
    federation.write(tmp_path, len(NODES), rounds=1)
    return tmp_path


def test_what_was_timed_stands_in_every_ledger(begun: Path) -> None:
    """All pairs agreed on keys, or nobody would have met; each newest head bears the word of all others."""
    address = f"127.0.0.1:{free_port()}"
    with rounds.started(begun, address, plain=False):
        took = many.measure(begun, address, NODES)
    assert min(took.keys_s, took.meet_s, took.part_s) > 0
    for node in NODES:
        kit = load_node_kit(begun / "kits" / f"node-{node}")
        with open_ledger(Workspace(begun / f"work-{node}"), kit) as ledger:
            assert [entry.kind for entry in ledger.entries()] == ["policy", "reservation", "spend"]
            members = [kit.roster.member(number) for number in NODES if number != node]
            keys = {member.origin: bytes.fromhex(member.signing_key) for member in members}
            assert sorted(countersigners(ledger.checkpoint(), keys)) == sorted(keys)


def test_a_node_that_cannot_begin_ends_the_measurement_with_its_reason(begun: Path) -> None:
    (begun / "kits" / "node-3" / "signing.key").unlink()
    address = f"127.0.0.1:{free_port()}"
    with rounds.started(begun, address, plain=False), pytest.raises(RuntimeError, match=r"signing\.key"):
        many.measure(begun, address, NODES)
