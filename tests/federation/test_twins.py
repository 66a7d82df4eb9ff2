"""Two processes with copies of one work folder, and folders that are put back: named, harmless, never the same pads."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import Twin
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from node.client import Client
from tests.aggregator.machine import small_run
from tests.federation.bending import LEASES, History
from tests.federation.byhand import ByHand
from tests.federation.parties import Consortium
from tests.processes import listening, until

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("twins"), people=40)
    yield made
    made.stop()


def _twin(consortium: Consortium, work: Path, port: int, name: str) -> subprocess.Popen[bytes]:
    return consortium.start(
        "twin", "node", "--kit", consortium.kit(2), "--work", work, "--run", consortium.run_file(name),
        "--aggregator", f"127.0.0.1:{port}", "--simulation",
    )  # fmt: skip


def test_a_copy_beside_its_original_is_refused_and_an_older_copy_ends_nothing(consortium: Consortium) -> None:
    config = consortium.configure("copied", game=False, deadline_s=600.0)
    port, copy = free_port(), consortium.root / "copy"
    server = consortium.start_aggregator(port, "copied")
    nodes = {n: consortium.start_node(n, port, "copied") for n in (1, 2)}
    for n in nodes:
        until(lambda n=n: f"node {n}: enrolled" in consortium.log(f"node-{n}"))
    shutil.copytree(consortium.work(2), copy)
    twin = _twin(consortium, copy, port, "copied")
    until(lambda: "another process takes part for node 2, since" in consortium.log("twin"))
    assert "a copy of its work folder is in use there; waiting 60 s for it to be gone" in consortium.log("twin")
    until(lambda: '"twin refused"' in consortium.log("aggregator"))
    twin.terminate()
    assert twin.wait(60) == 0
    nodes[3] = consortium.start_node(3, port, "copied", "before node.client:Client.ready 2")
    assert nodes[3].wait(120) == KILLED, consortium.log("node-3")
    nodes[2].terminate()  # in the middle of the run, and the copy is started in its place
    assert nodes[2].wait(60) == 0
    twin = _twin(consortium, copy, port, "copied")
    assert twin.wait(120) == 6, consortium.log("twin")
    assert "round 1, attempt 1: another process of this institution gave an update" in consortium.log("twin")
    assert (copy / "runs" / "copied" / "pad.key").exists(), "nothing has ended"
    nodes |= {n: consortium.start_node(n, port, "copied") for n in (2, 3)}
    for n, process in nodes.items():
        assert process.wait(120) == 0, consortium.log(f"node-{n}")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert "node left" not in consortium.log("aggregator")
    assert all(len(consortium.spends(n, "copied")) == config.rounds for n in nodes), "it cost nobody an attempt"


def test_a_snapshot_that_rolls_ledger_journal_and_outbox_back_uses_no_pad_again(consortium: Consortium) -> None:
    config = consortium.configure("rolled", game=False, deadline_s=600.0, reserve_attempts=4)
    port, work, snapshot = free_port(), consortium.work(2), consortium.root / "snapshot"
    server = consortium.start_aggregator(port, "rolled")
    nodes = {1: consortium.start_node(1, port, "rolled")}
    second = consortium.start_node(2, port, "rolled", "after node.client:Client.ready 1")
    third = consortium.start_node(3, port, "rolled", "before node.client:Client.ready 1")
    assert (second.wait(120), third.wait(120)) == (KILLED, KILLED)
    shutil.copytree(work, snapshot)
    # Started again it gathers anew, gives its update to the second attempt, and the machine dies while one is missing.
    enrolled = consortium.log("node-2").count("node 2: enrolled")
    second = consortium.start_node(2, port, "rolled", "after node.client:Client.submit 1")
    # Were the third back first, the first attempt would open with the dead process's token, and the third die in it.
    until(lambda: consortium.log("node-2").count("node 2: enrolled") > enrolled)
    third = consortium.start_node(3, port, "rolled", "before node.client:Client.submit 1")
    assert (second.wait(120), third.wait(120)) == (KILLED, KILLED)
    sent = consortium.data("rolled") / "uploads" / "round-1-2" / "2"
    first, spent = sent.read_bytes(), consortium.spends(2, "rolled")
    assert set(spent) == {(1, 2)}

    shutil.rmtree(work)
    shutil.copytree(snapshot, work)
    assert consortium.spends(2, "rolled") == {}
    nodes[2] = consortium.start_node(2, port, "rolled")
    until(lambda: "joined by another process of this node" in consortium.log("node-2"))
    assert not sent.exists() or sent.read_bytes() == first, "nothing else came under those pads"
    nodes[3] = consortium.start_node(3, port, "rolled")
    for n, process in nodes.items():
        assert process.wait(120) == 0, consortium.log(f"node-{n}")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert (1, 2) not in consortium.spends(2, "rolled"), "it has not taken part in that attempt again"
    assert (1, 2) in consortium.spends(1, "rolled") | consortium.spends(3, "rolled")
    assert {consortium.model_card(n, "rolled")["digest"] for n in nodes} == {consortium.reference(config).digest()}


def test_an_attempt_that_another_process_joined_is_declined_before_anything_is_spent(tmp_path: Path) -> None:
    history = History(tmp_path)
    node, attempt = history.node(2, 1), Attempt(1, 1)
    tokens = [history.node(n, 1).join(attempt) for n in (1, 2, 3, 4)]
    node.party.lease = b"later".ljust(LEASE_BYTES)
    declined: list[Attempt] = []
    node.client.decline = declined.append  # type: ignore[method-assign]
    node.contribution.contribute(attempt, tokens)  # spending would raise
    assert declined == [attempt]
    assert LEASES[2] != node.party.lease


# -- at the aggregator, over a socket ------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Consortium, int]]:
    made = Consortium(tmp_path_factory.mktemp("leases"), 3)
    make_kits(made.root / "kits", "test", 3)
    made.sign(small_run(3, run="by-hand", deadline_s=600.0))
    port = free_port()
    made.start_aggregator(port, "by-hand")
    listening(port)
    yield made, port
    made.stop()


def _by_hand(served: tuple[Consortium, int], node: int) -> ByHand:
    consortium, port = served
    config = small_run(3, run="by-hand", deadline_s=600.0)
    return ByHand(f"127.0.0.1:{port}", load_node_kit(consortium.kit(node)), config, key=None)  # type: ignore[arg-type]


def test_one_process_at_a_time_speaks_for_a_node(served: tuple[Consortium, int]) -> None:
    original, twin = _by_hand(served, 1), _by_hand(served, 1)
    with pytest.raises(grpc.RpcError) as refused:
        original.state()
    assert "node 1 has not enrolled" in refused.value.details()
    original.enrol()
    stream = original.follow()
    next(stream)
    away = wire.RunRef(**twin.run, node=1, lease=twin.lease)
    for said in (twin.enrol, twin.state, lambda: twin.stub.Away(away, timeout=20)):
        with pytest.raises(grpc.RpcError, match=r"another process takes part for node 1, since .* from 127\.0\.0\.1:"):
            said()
    assert "went away" not in served[0].log("aggregator"), "it speaks for nobody"

    consortium, port = served
    client = Client(f"127.0.0.1:{port}", load_node_kit(consortium.kit(1)), original.config)
    with pytest.raises(Twin, match="stop one of the two; where that machine is gone"):
        client.enrol(bytes([1]) * 32, twin.lease, gone_s=0.0)
    stream.cancel()
    client.enrol(bytes([1]) * 32, twin.lease)  # as soon as the aggregator has noticed
    client.close()
    assert twin.state().stage == wire.STAGE_ENROLLING


def test_a_nonce_is_sixteen_bytes(served: tuple[Consortium, int]) -> None:
    node = _by_hand(served, 2)
    for lease in (b"", b"short", bytes(LEASE_BYTES + 1)):
        node.lease = lease
        with pytest.raises(grpc.RpcError, match="does not say which process speaks for it"):
            node.enrol()
