"""Uploads over a link that is cut again and again: what has arrived is not sent a second time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.run import Phase
from afml.consortium.scheme import run_params
from afml.core.recordfile import read_records, write_records
from afml.wire import federation_pb2 as wire
from aggregator.store.base import Published
from benchmarks.crowd import receipt
from crypto.ckks.run_key import RunKey
from crypto.public.signing import sign
from node.client import Client
from tests.aggregator.machine import MODEL
from tests.federation.served import NODES, Served

CUT = 200_000
PARAMETERS = 250_000
LEASE = bytes(LEASE_BYTES)


class CuttingLink:
    """A way to a port on loopback: each connection is cut once so many bytes went in (or out), as often as was said.

    Attributes:
        port: To connect to.
        cuts: Connections that were cut.
    """

    def __init__(self, port: int, cut: int, times: int, *, into: bool = True) -> None:
        self._to, self._cut, self._times, self._into = port, cut, times, into
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.cuts = self._listener.getsockname()[1], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._carry, args=(near, far, self._into), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, not self._into), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16_384):
                target.sendall(data)
                if counted:
                    passed += len(data)
                    if passed > self._cut and self.cuts < self._times:
                        self.cuts += 1
                        break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Scene:
    """A run whose first attempt is open, and one node's update of it."""

    def __init__(self, root: Path) -> None:
        phase = Phase(name="risk", rounds=1, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                      learning_rate=1.0, parameters=PARAMETERS)  # fmt: skip
        self.served = Served(root, phases=(phase,))
        config = self.served.config
        for node, client in self.served.clients.items():
            client.enrol(bytes([node]) * 32, LEASE)
        for client in self.served.clients.values():
            client.ready(Attempt(1, 1), MODEL, LEASE)
        self.binding = Binding(config.run, config.digest(), Attempt(1, 1), NODES, (LEASE,) * len(NODES))
        params = run_params(config)
        self.count = params.chunks(PARAMETERS)
        words = np.zeros((2, params.slots), np.int64)
        self.payload = RunKey.generate(params).encrypt(words)

    def receipt(self, node: int, **changes: int) -> str:
        kit = self.served.kits[node]
        return receipt(kit.signing_key, kit.roster.member(node).origin, **changes)

    def header(self, node: int) -> wire.UpdateHeader:
        config = self.served.config
        return wire.UpdateHeader(
            run=config.run, config_digest=config.digest(), round=1, attempt=1, node=node, chunks=self.count,
            cohort_digest=self.binding.cohort_digest, parameters=PARAMETERS, receipt=self.receipt(node),
        )  # fmt: skip

    def chunks(self, node: int, first: int) -> Iterator[wire.UpdateChunk]:
        key = self.served.kits[node].signing_key
        for index in range(first, self.count):
            signed = self.binding.chunk_message(node, index, self.count, self.payload)
            yield wire.UpdateChunk(index=index, payload=self.payload, signature=sign(key, signed))

    def stored(self, node: int) -> list[bytes]:
        return list(read_records(self.served.root / "data" / "uploads" / "round-1-1" / str(node)))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("resumed"))
    yield made
    made.served.close()


def test_over_a_link_that_is_cut_an_update_arrives_once(scene: Scene) -> None:
    """It is cut before half of it has passed: sent from the beginning each time, it would never arrive."""
    size = scene.count * len(scene.payload)
    assert size > 2 * CUT
    firsts: list[int] = []

    def chunks(first: int) -> Iterator[wire.UpdateChunk]:
        firsts.append(first)
        return scene.chunks(1, first)

    with closing(CuttingLink(scene.served.port, CUT, 5)) as link:
        client = Client(f"127.0.0.1:{link.port}", scene.served.kits[1], scene.served.config)
        with closing(client):
            client.submit(scene.header(1), chunks)
    assert link.cuts >= 2
    assert firsts == sorted(firsts), "no stream begins before the one before it"
    assert firsts[-1] > 0
    assert scene.stored(1) == [scene.payload] * scene.count


def test_another_node_process_goes_on_where_the_first_one_stood(scene: Scene) -> None:
    stub, header = scene.served.clients[2]._stub, scene.header(2)
    sent = [wire.UpdatePart(header=header), *(wire.UpdatePart(chunk=one) for one in scene.chunks(2, 0))]
    with pytest.raises(grpc.RpcError) as broken:
        stub.SubmitUpdate(iter(sent[:8]))
    assert "stream ended after 7 of" in broken.value.details()
    assert stub.UpdateProgress(header).chunks == 7
    begun: list[int] = []

    def chunks(first: int) -> Iterator[wire.UpdateChunk]:
        begun.append(first)
        return scene.chunks(2, first)

    scene.served.clients[2].submit(header, chunks)
    scene.served.clients[2].submit(header, chunks)  # a lost answer: nothing is sent again
    assert begun[:1] == [7]
    assert set(begun[1:]) <= {scene.count}
    assert scene.stored(2) == [scene.payload] * scene.count


@pytest.mark.parametrize("first", [0, 3])
def test_a_half_that_holds_something_wrong_is_begun_again(scene: Scene, first: int) -> None:
    stub, header = scene.served.clients[3]._stub, scene.header(3)
    parts = [wire.UpdatePart(chunk=one) for one in scene.chunks(3, 0)]
    with pytest.raises(grpc.RpcError):
        stub.SubmitUpdate(iter([wire.UpdatePart(header=header), *parts[:3]]))
    assert stub.UpdateProgress(header).chunks == 3
    header.first = first
    bad = wire.UpdatePart()
    bad.CopyFrom(parts[first])
    bad.chunk.signature = bytes(64)
    with pytest.raises(grpc.RpcError) as refused:
        stub.SubmitUpdate(iter([wire.UpdatePart(header=header), bad]))
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert stub.UpdateProgress(header).chunks == 0
    header.first = 3
    with pytest.raises(grpc.RpcError) as gone:
        stub.SubmitUpdate(iter([wire.UpdatePart(header=header), *parts[3:]]))
    assert gone.value.code() == grpc.StatusCode.UNAVAILABLE, "its sender asks again, and begins at the beginning"


def test_of_another_update_nothing_is_there(scene: Scene) -> None:
    stub, header = scene.served.clients[4]._stub, scene.header(4)
    parts = [wire.UpdatePart(chunk=one) for one in scene.chunks(4, 0)]
    with pytest.raises(grpc.RpcError):
        stub.SubmitUpdate(iter([wire.UpdatePart(header=header), *parts[:2]]))
    header.receipt = scene.receipt(4, entries=2)
    assert stub.UpdateProgress(header).chunks == 0
    header.round = 2
    with pytest.raises(grpc.RpcError, match="is not open for uploads"):
        stub.UpdateProgress(header)


def test_over_a_link_that_is_cut_a_sum_arrives_once(scene: Scene) -> None:
    """The link counts what goes the other way; what was handed out before a cut is not asked for again."""
    path = scene.served.root / "data" / "sums" / "round-1-1"
    sums = [bytes([index]) * 30_000 for index in range(40)]
    write_records(path, sums)
    scene.served.published(Published(Attempt(1, 1), len(sums), PARAMETERS))
    with closing(CuttingLink(scene.served.port, CUT, 5, into=False)) as link:
        client = Client(f"127.0.0.1:{link.port}", scene.served.kits[1], scene.served.config)
        with closing(client):
            header, payloads = client.fetch(1)
            assert list(payloads) == sums
    assert header.chunks == len(sums)
    assert link.cuts >= 2
