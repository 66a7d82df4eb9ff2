"""Many nodes in one process, for an aggregator that shall not know the difference: connections, signatures, updates.

What is not there is what an aggregator never sees: data, ledgers, pads. Every member sends the same words,
so that their sum is known, encrypted and signed by itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.connection import NODE
from afml.consortium.lease import draw_lease
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.consortium.tls import channel_credentials
from afml.core.config import canonical_json
from afml.ledger import checkpoint
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from crypto.ckks.run_key import RunKey
from crypto.public.signing import sign

MODEL = bytes(32)
_S = 600.0


def receipt(key: Ed25519PrivateKey, origin: str, index: int = 0, entries: int = 1) -> str:
    """A ledger receipt whose head is signed, of a ledger that nobody keeps."""
    head = checkpoint.sign(checkpoint.Checkpoint(origin, entries, bytes(32)), key)
    return canonical_json({"index": index, "leaf": "0" * 64, "checkpoint": head}).decode()


class Crowd:
    """All nodes of a run.

    Args:
        address: The aggregator's host:port.
        kits: Folder of the nodes' kits.
        run: The run.
        threads: Nodes that speak at the same time.
    """

    def __init__(self, address: str, kits: Path, run: RunConfig, threads: int = 8) -> None:
        self._address, self._run = address, run
        self._kits = {node: load_node_kit(kits / f"node-{node}") for node in run.nodes}
        self._channels = {node: self._channel(kit) for node, kit in self._kits.items()}
        self._stubs: dict[int, Any] = {
            node: FederationStub(channel)  # type: ignore[no-untyped-call]
            for node, channel in self._channels.items()
        }
        self._same: dict[str, Any] = {"run": run.run, "config_digest": run.digest()}
        self._pool = ThreadPoolExecutor(threads)
        self._leases: dict[int, bytes] = {}
        self._params = run_params(run)
        self._key = RunKey.generate(self._params)
        self._words = self._drawn()
        self._chunks = {node: [self._key.encrypt(chunk) for chunk in self._words] for node in run.nodes}

    def close(self) -> None:
        """Hang up."""
        self._pool.shutdown()
        for channel in self._channels.values():
            channel.close()

    def enrol(self) -> None:
        """Everybody."""
        for node, kit in self._kits.items():
            pad = bytes([node]) * 32
            lease = self._leases[node] = draw_lease()
            signed = messages.enrolment(self._run.run, self._run.digest(), node, pad, lease)
            self._stubs[node].Enrol(
                wire.Enrolment(
                    **self._same, node=node, pad_key=pad, signature=sign(kit.signing_key, signed), lease=lease
                ),
                timeout=_S,
            )

    def play(self, round_number: int) -> None:
        """One round with everybody, from Ready to the published sum, which is checked."""
        attempt = Attempt(round_number, 1)
        list(self._pool.map(lambda node: self._ready(node, attempt), self._kits))
        leases = tuple(self._leases[node] for node in self._run.nodes)
        binding = Binding(self._run.run, self._run.digest(), attempt, tuple(self._run.nodes), leases)
        list(self._pool.map(lambda node: self._upload(node, binding), self._kits))
        first = self._run.nodes[0]
        states = self._stubs[first].WatchRun(self._ref(first), timeout=_S)
        for state in states:
            if state.published_round >= round_number:
                break
        else:
            raise RuntimeError(f"the run ended in round {round_number}: {state}")
        states.cancel()
        self._check(first, round_number)

    @contextlib.contextmanager
    def watching(self, count: int) -> Iterator[None]:
        """So many idle watchers, each with a connection of its own."""
        kits, open_, heard = list(self._kits.values()), [], threading.Semaphore(0)

        def follow(stream: Any) -> None:
            with contextlib.suppress(grpc.RpcError):
                for _ in stream:
                    heard.release()

        for number in range(count):
            kit = kits[number % len(kits)]
            channel = self._channel(kit, ("grpc.use_local_subchannel_pool", 1))
            stub = FederationStub(channel)  # type: ignore[no-untyped-call]
            stream = stub.WatchRun(self._ref(kit.node), timeout=_S)
            threading.Thread(target=follow, args=(stream,), daemon=True).start()
            open_.append((channel, stream))
        try:
            for _ in range(count):
                if not heard.acquire(timeout=120):
                    raise RuntimeError("a watcher was told nothing")
            yield
        finally:
            for channel, stream in open_:
                stream.cancel()
                channel.close()

    def _ref(self, node: int) -> wire.RunRef:
        return wire.RunRef(**self._same, node=node, lease=self._leases[node])

    def _channel(self, kit: NodeKit, *more: tuple[str, int]) -> grpc.Channel:
        return grpc.secure_channel(self._address, channel_credentials(kit.tls), [*NODE, *more])

    def _drawn(self) -> NDArray[np.int64]:
        """Words that a sum of everybody's holds [chunks, 2, slots]."""
        count = self._params.chunks(self._run.phases[0].parameters)
        top = 2 ** (self._params.total_bits - 4 - len(self._run.nodes).bit_length())
        return np.random.default_rng(1).integers(-top, top, (count, 2, self._params.slots))

    def _ready(self, node: int, attempt: Attempt) -> None:
        signed = messages.ready(self._run.run, self._run.digest(), attempt, node, MODEL, self._leases[node])
        signature = sign(self._kits[node].signing_key, signed)
        self._stubs[node].Ready(
            wire.ReadyToken(**self._same, round=attempt.round, attempt=attempt.number, node=node, model=MODEL,
                            lease=self._leases[node], signature=signature), timeout=_S,
        )  # fmt: skip

    def _upload(self, node: int, binding: Binding) -> None:
        key, count = self._kits[node].signing_key, len(self._words)
        paid = receipt(key, self._kits[node].roster.member(node).origin)

        def parts() -> Iterator[wire.UpdatePart]:
            yield wire.UpdatePart(header=wire.UpdateHeader(
                **self._same, round=binding.round, attempt=binding.number, cohort_digest=binding.cohort_digest,
                node=node, chunks=count, parameters=self._run.phases[0].parameters, receipt=paid,
            ))  # fmt: skip
            for index, payload in enumerate(self._chunks[node]):
                signature = sign(key, binding.chunk_message(node, index, count, payload))
                yield wire.UpdatePart(chunk=wire.UpdateChunk(index=index, payload=payload, signature=signature))

        self._stubs[node].SubmitUpdate(parts(), timeout=_S)

    def _check(self, node: int, round_number: int) -> None:
        request = wire.AttemptRef(**self._same, round=round_number, node=node)
        header, *parts = self._stubs[node].FetchAggregate(request, timeout=_S)
        if len(header.header.cohort) != len(self._kits) or len(parts) != len(self._words):
            raise RuntimeError(f"the sum of round {round_number} is not of everybody")
        self._require(parts[0].chunk.payload)

    def _require(self, payload: bytes) -> None:
        words, _ = self._key.decrypt(payload)
        if not np.array_equal(words, len(self._kits) * self._words[0]):
            raise RuntimeError("a sum is wrong")
