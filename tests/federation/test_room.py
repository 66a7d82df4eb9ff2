"""A node without room on its disk waits, says so, and spends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.core.errors import Stopped
from afml.core.progress import Event
from node import room
from node.contribution import Contribution
from node.outbox import Outbox
from tests.federation.bending import NODES, History, Node


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("history"))


def test_what_is_free_is_looked_at_until_it_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, told = iter([1, 2, 3_000_000, 9_000_000]), list[Event]()
    party: Any = type("Party", (), {"require_going": lambda self: None, "tell": told.append})()
    party.client = type("Client", (), {"patience": type("P", (), {"stop": _Instant()})()})()
    monkeypatch.setattr(room, "free_bytes", lambda _: next(free))
    assert room.wait_for_room(party, tmp_path, 5_000_000)
    assert next(free, None) is None
    assert ["0 MB are free and 5 MB are needed; waiting until there is room" in one.text for one in told] == [True]


def test_nobody_waits_for_room_for_what_is_not_wanted_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([True, True, False])
    party: Any = type("Party", (), {"require_going": lambda self: None, "tell": lambda *_: None})()
    party.client = type("Client", (), {"patience": type("P", (), {"stop": _Instant()})()})()
    monkeypatch.setattr(room, "free_bytes", lambda _: 0)
    assert not room.wait_for_room(party, tmp_path, 1, lambda: next(left))


class _Instant:
    """Waiting takes no time."""

    def wait(self, _: float) -> None: ...


def test_a_node_without_room_is_not_ready_and_stops_when_asked(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    node: Node = history.node(1, 1)
    said: list[Attempt] = []
    met: Any = type("Met", (), {"met": set(NODES), "meet": lambda *_, **__: None})()
    contribution = Contribution(node.party, met)
    monkeypatch.setattr(room, "free_bytes", lambda _: 0)
    monkeypatch.setattr(contribution, "begin", lambda _: None)
    monkeypatch.setattr(node.party.client, "ready", lambda attempt, _: said.append(attempt), raising=False)
    patience: Any = type("Patience", (), {"stop": _Instant(), "require_wanted": _stops})()
    monkeypatch.setattr(node.party.client, "patience", patience, raising=False)
    with pytest.raises(Stopped):
        contribution.join(Attempt(1, 1))
    assert said == []


def _stops(*_: object) -> None:
    raise Stopped("as asked")


def test_ciphertexts_of_passed_rounds_go_and_their_marks_stay(history: History, tmp_path: Path) -> None:
    party = history.node(1, 1).party
    outbox = Outbox(tmp_path / "outbox", 4)
    bindings = [party.bind(Attempt(*place), dict.fromkeys(NODES, b"1")) for place in ((1, 1), (1, 2), (11, 1))]
    for binding in bindings:
        outbox.submission(binding, lambda: [b"four"])
    outbox.passed(Attempt(1, 2))
    outbox.passed(Attempt(2, 1))  # it was not in that one
    assert sorted(path.name for path in (tmp_path / "outbox").iterdir()) == [
        "round-1-attempt-1.begun", "round-1-attempt-2.begun", "round-11-attempt-1.begun", "round-11-attempt-1.chunks",
    ]  # fmt: skip
    assert outbox.find(bindings[2]) is not None
