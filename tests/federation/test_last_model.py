"""After the last round: whether anybody else holds this model, and what is kept where a run ends badly."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.core.errors import BudgetError, ProtocolError, Stopped, TransportError
from afml.core.progress import Event
from node import take_part
from node.journal import Journal
from node.session import Session
from node.take_part import Part, _end, _finished, _train
from node.workspace import Workspace
from tests.federation.bending import NODES, History, Node


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("history"))


class Withheld:
    """Sealed letters of which only those of some nodes arrive; they say what this node says."""

    def __init__(self, come: set[int]) -> None:
        self.come, self.said = come, b""

    def send_sealed(self, recipients: Collection[int], subject: str, body: bytes, *, lasting: bool) -> None:
        self.said = body

    def receive_sealed(
        self, senders: Collection[int], subject: str, *, wait_s: float, lasting: bool
    ) -> dict[int, bytes]:
        return {sender: self.said for sender in senders if sender in self.come}


def finished(node: Node, come: set[int] | None) -> tuple[Session, list[Event]]:
    """A node's session after the last round; the letters of `come` arrive, None: the aggregator is gone before."""
    told: list[Event] = []
    party, letters = node.party, Withheld(come or set())
    party.applied, party.tell, party.__dict__["mailbox"] = party.run.rounds, told.append, letters
    party.__dict__["last_cohort"] = lambda: NODES
    met: Any = SimpleNamespace(met=set(NODES))
    session = Session(party, met)
    if come is not None:
        session._catchup._compare()
    return session, told


def test_a_model_that_nobody_else_has_said_to_hold_is_told(history: History) -> None:
    """An aggregator that bends the last sum for one node would withhold the letters in which that shows."""
    for come in (set(), None):
        session, _ = finished(history.node(1, 1), come)
        offence = session.offence
        assert offence is not None
        assert "no other institution has said that it holds this model" in str(offence)
        assert "\n" not in str(offence)
        assert offence.exit_code == 6


def test_whoever_is_silent_is_named_and_ends_nothing(history: History) -> None:
    session, told = finished(history.node(1, 1), {2, 3})
    assert session.offence is None
    assert [event.text for event in told] == [
        "which model node 4 holds is not known: no letter came. Ask there for the digest of its card"
    ]


def test_what_was_compared_before_a_restart_counts(history: History) -> None:
    node = history.node(1, 1)
    finished(node, {2})
    session, _ = finished(node, None)  # the aggregator has stopped since
    assert session.offence is None
    assert finished(history.node(1, 1), {2, 3, 4})[1] == []


def _model(save: Any) -> Any:
    return SimpleNamespace(complete=True, model=lambda: SimpleNamespace(save=save))


def test_keys_go_before_anything_that_can_fail_and_the_model_is_not_lost(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    journal = Journal(work.run("run"))
    journal.keep_key("ckks", b"k" * 32)
    journal.keep_state(3, b"s" * 32, b"model")

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        _end(_model(full), journal, work.model("run"), BudgetError("x"))
    assert journal.key("ckks") is None
    journal.require_not_ended()  # so that the next start can save what is paid for
    loaded: list[bytes] = []
    task = SimpleNamespace(
        load_state=loaded.append, model=lambda: SimpleNamespace(save=lambda path: path.mkdir(parents=True))
    )
    holdings: Any = SimpleNamespace(task=task)
    run: Any = SimpleNamespace(run="run")
    assert _finished(work, run, holdings, journal).model == work.model("run")
    assert loaded == [b"model"]
    assert work.model("run").is_dir()
    _finished(work, run, holdings, journal)
    assert len(loaded) == 1, "a model that is there is left alone"


def test_a_run_that_ended_without_a_model_is_marked_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.keep_key("pad", b"k" * 32)
    _end(SimpleNamespace(complete=False), journal, tmp_path / "none", BudgetError("spent"))  # type: ignore[arg-type]
    assert journal.key("pad") is None
    with pytest.raises(ProtocolError, match="has ended here for good"):
        journal.require_not_ended()


def _last_words(tmp_path: Path, error: Exception) -> object:
    """A node has every round, and `error` comes before its last report."""

    def run() -> None:
        raise error

    session: Any = SimpleNamespace(complete=True, paid=True, run=run, model=lambda: "the model")
    anything: Any = None
    part = Part(tmp_path, tmp_path, tmp_path / "run.json", "127.0.0.1:1")
    return _train(session, anything, anything, part, anything, lambda _: None)


def test_a_node_that_is_stopped_before_its_last_report_makes_it_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys stay, without which nothing is compared; one whose aggregator has gone for good keeps its model."""
    monkeypatch.setattr(take_part, "preflight", lambda *_: None)
    with pytest.raises(Stopped):
        _last_words(tmp_path, Stopped("stopped as it was asked to"))
    assert _last_words(tmp_path, TransportError("no answer in time")) == "the model"
