"""Events of a party: what people read of them, and what another process does."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from afml.core.errors import InputError
from afml.core.progress import Event, EventReader, Kind, events_to, text_of, untold


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
