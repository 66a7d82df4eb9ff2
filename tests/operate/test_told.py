"""What `afml status` says of a daemon and of one of a thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from afml.console.sections import Maker
from afml.consortium.stage import Stage
from afml.operate.shown import AggregatorStatus, NodeStatus, ServeStatus, Space
from afml.operate.told import lines
from node.serving.standing import ServeStanding
from tests.console.made import standing

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


def test_a_run_that_is_over_is_told_without_its_process_which_may_serve_others() -> None:
    def told(stage: Stage, state: Literal["stopped"], ended: str) -> tuple[str, str]:
        changes: dict[str, object] = {"stage": stage, "since": 1_700_000_000.0, "ended": ended, "address": "sum:7443"}
        at = standing(3, 40, 40, **changes)
        status = AggregatorStatus(
            standing=at, state=state, awaited=(), waiting_s=None, left_s=None, certificate_days=90, space=SPACE
        )  # fmt: skip
        page = Maker(cast(Any, None))._environment.from_string(
            '{% import "macros.html.j2" as m %}{{ m.served(one, "") }}'
        )
        return next(iter(lines(status))), page.render(one=status)

    line, shown = told(Stage.FINISHED, "stopped", "finished")
    assert "at sum:7443: over since 2023-11-1" in line
    assert "process" not in line
    assert "<dt>over since</dt><dd>2023-11-1" in shown
    assert "stopped" not in shown
    assert "process" not in shown
    line, shown = told(Stage.OPEN, "stopped", "stopped")
    assert "its process stopped at " in line
    assert "stopped</span>" in shown
    assert "<dt>process</dt><dd>stopped at " in shown


def test_one_entry_is_no_entries() -> None:
    assert "node 1: 0 runs, 1 entry in its ledger" in daemon()
