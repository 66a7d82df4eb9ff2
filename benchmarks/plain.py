"""The same round without encryption: float32 chunks, added in the clear. For comparison, never in the product.

Everything else stays: processes, mutual TLS, framing, signatures, digests, files, ledger. A chunk holds as many
coordinates as a ciphertext of the run would. `PLAIN` is a backend like any other, but no registry lists it: a
benchmark hands it to the aggregator and to the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ProtocolError
from crypto.public.params import CodecParams
from crypto.public.signing import AnyBinding
from crypto.secret.backend import Backend
from crypto.secret.pads import Pads


class PlainAdder:
    """A running sum in float32: with several nodes its last bits depend on the order of addition."""

    def __init__(self, params: CodecParams) -> None:
        self._params, self._count = params, 0
        self._sum = np.zeros(params.parameters_per_chunk, dtype=np.float32)

    def add(self, payload: bytes) -> None:
        PLAIN.check(self._params, payload)
        if self._count == self._params.nodes:
            raise ProtocolError(f"the parameters hold at most {self._params.nodes} updates", where="sum")
        self._count += 1
        self._sum += np.frombuffer(payload, np.float32)

    def total(self) -> bytes:
        if not self._count:
            raise ProtocolError("nothing was added", where="sum")
        return self._sum.tobytes()


class PlainCodec:
    """The chunks of the encrypted codec, their coordinates in float32."""

    def __init__(self, params: CodecParams) -> None:
        self.params = params

    def encode(self, fields: NDArray[np.int64], *, binding: AnyBinding) -> Iterator[bytes]:
        size = self.params.parameters_per_chunk
        padded = np.zeros(self.params.chunks(fields.size) * size, dtype=np.float32)
        padded[: fields.size] = fields
        for start in range(0, padded.size, size):
            yield padded[start : start + size].tobytes()

    def decode(self, payloads: Iterable[bytes], parameters: int) -> NDArray[np.int64]:
        chunks = [np.frombuffer(payload, np.float32) for payload in payloads]
        if len(chunks) != self.params.chunks(parameters):
            raise ProtocolError(f"{len(chunks)} of {self.params.chunks(parameters)} chunks", where="sum")
        return np.rint(np.concatenate(chunks)[:parameters]).astype(np.int64)


class PlainBackend:
    """Adds in the clear: no key, no pads, and nothing in a sum that would bind it to an attempt."""

    name = "plain"

    def check(self, params: CodecParams, payload: bytes) -> None:
        if len(payload) != self.upload_size(params):
            raise ProtocolError(f"{len(payload)} bytes, not {self.upload_size(params)}", where="payload")

    def upload_size(self, params: CodecParams) -> int:
        return 4 * params.parameters_per_chunk

    def adder(self, params: CodecParams) -> PlainAdder:
        return PlainAdder(params)

    def bind(
        self, payloads: Iterable[bytes], own: Iterable[bytes] | None, members: int, params: CodecParams
    ) -> Iterator[bytes]:
        yield from payloads

    def make_key(self, params: CodecParams) -> bytes:
        return bytes(32)

    def codec(self, params: CodecParams, key: bytes, pads: Pads) -> PlainCodec:
        return PlainCodec(params)


PLAIN: Backend = PlainBackend()
