"""A client that says whatever a test wants it to, over the real wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import draw_lease
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from benchmarks.crowd import receipt
from crypto.ckks.run_key import RunKey
from crypto.public.signing import sign
from crypto.public.suites import HYBRID
from crypto.secret.pads import PadKeys


@dataclass
class ByHand:
    """One node's certificate and keys, and no rules."""

    address: str
    kit: NodeKit
    config: RunConfig
    key: RunKey
    channel: grpc.Channel = field(init=False)
    lease: bytes = field(default_factory=draw_lease)

    def __post_init__(self) -> None:
        tls = self.kit.tls
        credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
        self.channel = grpc.secure_channel(self.address, credentials)
        self.stub = FederationStub(self.channel)  # type: ignore[no-untyped-call]
        self.params = run_params(self.config)

    @property
    def run(self) -> dict[str, object]:
        return {"run": self.config.run, "config_digest": self.config.digest()}

    def enrol(self) -> None:
        node = self.kit.node
        pad_key = bytes([node]) * 32
        if self.config.key_agreement == HYBRID:
            pad_key = PadKeys.load(bytes([node]) * 96).public
        signed = messages.enrolment(self.config.run, self.config.digest(), self.kit.node, pad_key, self.lease)
        signature = sign(self.kit.signing_key, signed)
        request = wire.Enrolment(**self.run, node=self.kit.node, pad_key=pad_key, signature=signature,
                                 lease=self.lease)  # fmt: skip
        self.stub.Enrol(request, timeout=20, wait_for_ready=True)

    def ready(self, round_number: int, attempt: int, model: bytes = bytes(32)) -> None:
        place = Attempt(round_number, attempt)
        signed = messages.ready(self.config.run, self.config.digest(), place, self.kit.node, model, self.lease)
        token = wire.ReadyToken(**self.run, round=round_number, attempt=attempt, node=self.kit.node,
                                lease=self.lease, model=model,
                                signature=sign(self.kit.signing_key, signed))  # fmt: skip
        self.stub.Ready(token, timeout=20)

    def follow(self) -> Any:
        """The stream of the run's announcements."""
        return self.stub.WatchRun(wire.RunRef(**self.run, node=self.kit.node, lease=self.lease), timeout=60)

    def state(self) -> wire.RunState:
        stream = self.follow()
        state: wire.RunState = next(stream)
        stream.cancel()
        return state

    def header(self, attempt: Binding, chunks: int, parameters: int, **changes: object) -> wire.UpdatePart:
        settings: dict[str, object] = {
            **self.run, "round": attempt.round, "attempt": attempt.number, "node": self.kit.node,
            "cohort_digest": attempt.cohort_digest, "chunks": chunks, "parameters": parameters,
            "receipt": self.receipt(),
        } | changes  # fmt: skip
        return wire.UpdatePart(header=wire.UpdateHeader(**settings))

    def receipt(self, **changes: int) -> str:
        """As of a ledger with one entry."""
        return receipt(self.kit.signing_key, self.kit.roster.member(self.kit.node).origin, **changes)

    def payloads(self, words: NDArray[np.int64]) -> list[bytes]:
        """Encrypt words [chunks, 2, slots]."""
        return [self.key.encrypt(chunk) for chunk in words]

    def chunks(self, attempt: Binding, payloads: Sequence[bytes]) -> list[wire.UpdatePart]:
        """Signed chunks, as an honest node sends them."""
        return [
            _chunk(
                index,
                payload,
                sign(
                    self.kit.signing_key,
                    attempt.chunk_message(self.kit.node, index, len(payloads), payload),
                ),
            )
            for index, payload in enumerate(payloads)
        ]

    def submit(self, parts: Iterable[wire.UpdatePart]) -> None:
        def stream() -> Iterator[wire.UpdatePart]:
            yield from parts

        self.stub.SubmitUpdate(stream(), timeout=30)

    def refusal(self, parts: Iterable[wire.UpdatePart]) -> tuple[grpc.StatusCode, str]:
        """The status and message that an upload is refused with."""
        try:
            self.submit(parts)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError("it was accepted")

    def close(self) -> None:
        self.channel.close()


def _chunk(index: int, payload: bytes, signature: bytes) -> wire.UpdatePart:
    return wire.UpdatePart(chunk=wire.UpdateChunk(index=index, payload=payload, signature=signature))
