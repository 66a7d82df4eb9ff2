"""Events of a party: what people read of them, and what another process does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from afml.core import progress
from afml.core.errors import InputError
from afml.core.progress import Event, EventReader, Kind, Step, events_to, text_of, untold


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("enrolled"), "enrolled"),
        (Event("keys"), "keys agreed"),
        (Event("training", 3, 24, "risk"), "round 3/24 (risk): training"),
        (Event("encrypting", 3, 24, "risk"), "round 3/24 (risk): encrypting"),
        (Event("sending", 21, 24, "game"), "round 21/24 (game): sending"),
        (Event("applied", 24, 24, "game"), "round 24/24 (game): applied"),
        (Event("public"), "training the public part"),
        (Event("public", step=30, steps=300), "public part: step 30 of 300"),
        (Event("public", step=0, steps=300), "public part: step 0 of 300"),
        (Event("waiting", text="waiting for node 1"), "waiting for node 1"),
        (Event("witnessing"), "exchanging countersignatures of ledgers"),
        (Event("finished", text="model saved in work/models/run"), "model saved in work/models/run"),
    ],
)
def test_people_read_a_line(event: Event, text: str) -> None:
    assert text_of(event) == text


def test_every_kind_has_words() -> None:
    assert all(text_of(Event(kind)) for kind in get_args(Kind))


def test_what_is_told_is_read_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events"
    reader = EventReader(path)
    assert reader.new() == []  # nobody has begun to write
    told = [Event("enrolled"), Event("applied", 1, 2, "risk"), Event("finished", text="a line\nand another")]
    with events_to(path) as tell:
        for event in told[:2]:
            tell(event)
        assert reader.new() == told[:2]
        assert reader.new() == []
    with events_to(path) as tell:  # a party that was started again goes on in the same file
        tell(told[2])
    assert reader.new() == told[2:]
    assert EventReader(path).new() == told


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "events"
    reader = EventReader(path)
    path.write_text('{"kind": "enr')
    assert reader.new() == []
    path.write_text('{"kind": "enrolled"}\n{"ki')
    assert reader.new() == [Event("enrolled")]


@pytest.mark.parametrize("line", ["node 1: enrolled", '{"kind": "enrolled", "colour": "red"}', "[1]"])
def test_what_is_no_event_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="no event"):
        EventReader(path).new()


def test_without_a_file_nobody_is_told() -> None:
    with events_to(None) as tell:
        assert tell is untold
        tell(Event("enrolled"))


def test_a_step_that_nobody_watches_says_that_it_is_still_at_it() -> None:
    code = """
import afml.core.progress as progress
import sys
progress.QUIET_S = 0.01
with progress.step("reading", total=4) as running:
    sys.stdin.readline()
    running.note("chr2\\x1b[2J")
    running.advance(2)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "reading ...\n"
        assert re.fullmatch(r"reading: \d+ s so far\n", child.stdout.readline())
        child.stdin.write("\n")
        child.stdin.flush()
        told = next(line for line in child.stdout if "chr2" in line)
        while "of 4" not in told:
            told = child.stdout.readline()
        assert re.fullmatch(r"reading: chr2.*: 2 of 4, \d+ s so far, about \d+ s left\n", told)
        assert "\x1b" not in told
        child.stdin.write("\n")
        child.stdin.flush()
        rest = child.stdout.read().splitlines()
    assert rest[-1].startswith("reading: done in ")
    assert child.returncode == 0


def test_no_time_left_is_told_while_something_goes_on_that_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    running = Step("rounds", 24, None)
    for _ in range(20):
        now[0] += 3.0
        running.advance()
    assert running.standing == "rounds: 20 of 24, 60 s so far, about 12 s left"
    now[0] += 300.0
    assert running.standing == "rounds: 20 of 24, 360 s so far"
