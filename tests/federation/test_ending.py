"""A run that ends badly for good leaves no key and no ciphertext; one that can go on leaves all it needs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.cli.stopping import stop_in_order
from afml.consortium.lease import draw_lease
from afml.consortium.nodekit import load_node_kit
from afml.consortium.reasons import Reason
from afml.core.errors import IntegrityError, ProtocolError
from afml.trial.processes import free_port
from crypto.secret.pads import PadKeys
from node import leave as leaving
from node.client import Client
from node.journal import Journal
from node.take_part import Part
from tests.federation.parties import Consortium
from tests.processes import listening, until


def _held(folder: Path) -> set[str]:
    """What could still open or resend something."""
    return {path.name for path in folder.glob("*.key")} | {path.name for path in folder.glob("outbox")}


def test_a_run_that_failed_takes_its_keys_along_and_is_not_begun_again(tmp_path: Path) -> None:
    consortium = Consortium.build(tmp_path, people=40)
    config = consortium.configure("lost", game=False, deadline_s=300.0)
    runs = {node: consortium.work(node) / "runs" / "lost" for node in (1, 2)}
    port = free_port()
    server = consortium.start_aggregator(port, "lost")
    listening(port)
    third = Client(f"127.0.0.1:{port}", load_node_kit(consortium.kit(3)), config)
    try:
        nodes = {n: consortium.start_node(n, port, "lost") for n in (1, 2)}
        third.enrol(PadKeys.generate(config.key_agreement).public, draw_lease())
        for folder in runs.values():
            until(lambda folder=folder: (folder / "ckks.key").exists())
        nodes[2].kill()
        nodes[2].wait()
        third.leave(Reason.LEFT)  # below the quorum: the run fails
        assert nodes[1].wait(120) == 5, consortium.log("node-1")
        assert server.wait(120) == 5, consortium.log("aggregator")
    finally:
        third.close()
        consortium.stop()
    assert _held(runs[1]) == set()
    assert {"pad.key", "ckks.key", "outbox"} <= _held(runs[2]), "a node that died may come back"

    again = consortium.start_node(1, free_port(), "lost")
    assert again.wait(120) == 5
    line = consortium.log("node-1").splitlines()[-1]
    assert line.startswith("afml: ")
    assert "has ended here for good" in line
    assert _held(runs[1]) == set()


def test_the_mark_comes_before_the_keys_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "run")
    journal.keep_key("pad", b"k" * 32)
    journal.keep_state(2, b"s" * 32, b"model")
    journal.require_not_ended()

    def dies(_: Journal) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Journal, "forget_keys", dies)
        journal.end("the run failed\x1b[2J")
    assert journal.key("pad") is not None
    with pytest.raises(ProtocolError, match=r"ended here for good \(the run failed\\x1b\[2J\)"):
        journal.require_not_ended()
    assert journal.key("pad") is None
    assert journal.state() == (2, b"s" * 32, b"model"), "what was trained is no secret of the run"


class _Told:
    """An aggregator that is told who leaves."""

    def __init__(self) -> None:
        self.reasons: list[Reason] = []
        self.patience = None

    def leave(self, reason: Reason) -> None:
        self.reasons.append(reason)

    def close(self) -> None:
        pass


def test_nobody_is_told_that_a_node_leaves_before_its_ledger_can_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be opened is found first; what was cut off between the two is done again."""
    told, closed = _Told(), []
    kit: Any = SimpleNamespace(history=None)
    kit.under = lambda _: kit
    part = Part(tmp_path, tmp_path / "work", tmp_path / "run.json", "127.0.0.1:1")
    journal = Journal(tmp_path / "run")
    run = SimpleNamespace(run="r", rounds=2, digest=lambda: b"")
    plans = SimpleNamespace(close=lambda *what: closed.append(what))
    for name, value in {
        "load_run": run, "Journal": journal, "Client": told, "preflight": None, "keep_in_kit": None,
        "in_use": contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(leaving, name, lambda *_, value=value: value)

    def torn(*_: object) -> None:
        raise IntegrityError("is torn", where="ledger")

    monkeypatch.setattr(leaving, "open_ledger", torn)
    with pytest.raises(IntegrityError):
        leaving.leave(kit, part)
    assert told.reasons == []
    with monkeypatch.context() as crash, pytest.raises(KeyboardInterrupt):
        crash.setattr(leaving, "open_ledger", lambda *_: contextlib.nullcontext(SimpleNamespace(plans=plans)))
        crash.setattr(leaving, "keep_in_kit", _dies)
        leaving.leave(kit, part)
    journal.require_not_ended()
    monkeypatch.setattr(leaving, "open_ledger", lambda *_: contextlib.nullcontext(SimpleNamespace(plans=plans)))
    leaving.leave(kit, part)
    assert told.reasons == [Reason.BY_HAND] * 2
    assert len(closed) == 2
    with pytest.raises(ProtocolError, match="its operator ended its part"):
        journal.require_not_ended()


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_next_sigterm_ends_a_node_even_while_the_first_one_is_being_told() -> None:
    """Whoever waits for `stop` may take its time, and must not keep a second SIGTERM from counting."""
    at_once, told = signal.getsignal(signal.SIGTERM), []

    class Slow(threading.Event):
        def set(self) -> None:
            told.append(signal.getsignal(signal.SIGTERM))
            super().set()

    stop = Slow()
    try:
        stop_in_order(stop)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)
    finally:
        signal.signal(signal.SIGTERM, at_once)
    assert told == [at_once]
