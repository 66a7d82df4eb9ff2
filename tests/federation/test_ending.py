"""A run that ends badly for good leaves no key and no ciphertext; one that can go on leaves all it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium.nodekit import load_node_kit
from afml.consortium.reasons import Reason
from afml.core.errors import ProtocolError
from afml.trial.processes import free_port
from crypto.secret.pads import PadKeys
from node.client import Client
from node.journal import Journal
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
        third.enrol(PadKeys.generate().public)
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
