"""What `afml status` says of a daemon and of one of a thing."""

from __future__ import annotations

from pathlib import Path

from afml.operate.shown import NodeStatus, ServeStatus, Space
from afml.operate.told import lines
from node.serving.standing import ServeStanding

SPACE = Space(used=1, free=1)
AT = ServeStanding(
    consortium="c", version="0", started=1.0, written=1.0, certificate_expires=1.0, node=1, address="sum:7443",
    problem="", at_once=1, draining=False, ledger="", works=("work",), runs=(),
)  # fmt: skip


def daemon(**changes: object) -> str:
    node = NodeStatus(node=1, parts=(), budget=None, insecure=False, entries=1, certificate_days=None, space=SPACE)
    at = AT.model_copy(update=changes)
    return "\n".join(lines(ServeStatus(standing=at, state="running", works=(node,), certificate_days=90, space=SPACE)))


def test_a_daemon_says_when_the_aggregator_answered_and_apart_from_it_why_it_takes_no_run() -> None:
    assert "0 of 1 place in use; aggregator sum:7443 has not answered yet\n1 B in this folder" in daemon()
    told = daemon(answered=1_700_000_000.0, problem=f"{Path('kit/policy.toml')}: is not there; write one")
    assert "; aggregator sum:7443 last answered at 2023-11-1" in told
    assert "\nno further run is taken: kit/policy.toml: is not there; write one\n" in told


def test_one_entry_is_no_entries() -> None:
    assert "node 1: 0 runs, 1 entry in its ledger" in daemon()
