"""The aggregator's whole arithmetic: add polynomials mod q. No key, no HE library, nothing to decrypt with.

A sum of seeded ciphertexts is the coefficient-wise sum of their c0 parts and the list of their seeds. This
module reaches numpy only; `tests/crypto` checks it bit for bit against SEAL's own Evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ProtocolError
from crypto.public.params import CodecParams
from crypto.public.payload import read_upload, write_total


class BlindAdder:
    """Adds the payloads of one chunk index, one at a time, in constant memory."""

    def __init__(self, params: CodecParams) -> None:
        self._params = params
        self._seeds: set[bytes] = set()
        self._body: NDArray[np.uint64] = np.zeros(params.poly_modulus, dtype=np.uint64)

    @property
    def count(self) -> int:
        """Payloads added so far."""
        return len(self._seeds)

    def add(self, payload: bytes) -> None:
        """Add one node's payload.

        Raises:
            ProtocolError: It is malformed, was already added, or is one more than the parameters hold.
        """
        ciphertext = read_upload(self._params, payload)
        if ciphertext.seeds[0] in self._seeds:
            raise ProtocolError("this ciphertext was already added", where="payload")
        if self.count == self._params.nodes:
            raise ProtocolError(f"the parameters hold at most {self._params.nodes} updates", where="sum")
        self._seeds.update(ciphertext.seeds)
        # Both are below q < 2^60. min(x, x - q) reduces the sum, since x - q wraps to a huge value for x < q.
        self._body += ciphertext.body
        np.minimum(self._body, self._body - np.uint64(self._params.prime), out=self._body)

    def total(self) -> bytes:
        """The encrypted sum; the same bytes whatever the order of addition.

        Raises:
            ProtocolError: Nothing was added.
        """
        if not self._seeds:
            raise ProtocolError("nothing was added", where="sum")
        return write_total(self._params, sorted(self._seeds), self._body)


def add_payloads(params: CodecParams, payloads: Iterable[bytes]) -> bytes:
    """The encrypted sum of one chunk index over all nodes; runs in any worker process."""
    adder = BlindAdder(params)
    for payload in payloads:
        adder.add(payload)
    return adder.total()


def check_payload(params: CodecParams, payload: bytes) -> None:
    """Check size, kind, parameters and coefficients of one node's payload.

    Raises:
        ProtocolError: It could not be added.
    """
    read_upload(params, payload)
