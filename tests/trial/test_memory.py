"""How much memory processes hold, on children that hold a known amount."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from afml.trial import memory
from afml.trial.memory import PeakMemory
from afml.trial.processes import Team

HELD = 64 << 20  # bytes
WAITS = "print('held', flush=True); time.sleep(3600)"
HOLDS = f"held = bytearray(b'x') * {HELD}; {WAITS}"


def until_told(log: Path) -> None:
    while "held" not in log.read_text():
        os.sched_yield()


@pytest.mark.parametrize(
    "code", [f"import time; {HOLDS}", f"import os, time\nif os.fork() == 0: {HOLDS}\ntime.sleep(3600)"]
)
def test_what_a_command_and_its_children_hold_is_theirs(tmp_path: Path, code: str) -> None:
    with Team(tmp_path) as team:
        child = team.start_command("big", [sys.executable, "-c", code])
        small = team.start_command("small", [sys.executable, "-c", f"import time; {WAITS}"])
        for one in (child, small):
            until_told(one.log)
        peak = PeakMemory(team.running)
        peak.look()
        # Both begin with what a Python holds; how much that is depends on who started them.
        assert peak.by_name["big"] - peak.by_name["small"] > HELD / 2
        assert peak.by_name["small"] > 0
        assert peak.together == peak.by_name["big"] + peak.by_name["small"]
        before = dict(peak.by_name)
    peak.look()
    assert peak.by_name == before, "a peak stays"


def test_it_is_looked_at_while_the_context_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_EVERY_S", 0.001)
    with PeakMemory(lambda: {"this": os.getpid()}) as peak:
        while not peak.together:
            os.sched_yield()
    assert peak.by_name["this"] > 1 << 20


def test_processes_that_have_ended_hold_nothing() -> None:
    peak = PeakMemory(lambda: {"gone": 2**30})
    peak.look()
    assert (peak.together, peak.by_name) == (0, {"gone": 0})
