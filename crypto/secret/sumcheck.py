"""Verified sums: every update carries a check value that only holders of the run's key can make for a sum.

A one-time linearly homomorphic authentication: coefficients of an attempt that all its nodes and nobody else know, the
combination of a node's integers by them in F_p, pads of F_p that cancel in the sum. It travels as further coordinates
of the update, so whoever adds updates adds check values. docs/design/verified-sums.md proves what a comparison shows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NoReturn, Protocol

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from afml.core.errors import SumNotVerified
from crypto.public.checkvalue import BLOCK, PIECES, PRIME, check_coordinates, combined, digits_of, element_of
from crypto.public.params import CodecParams
from crypto.public.signing import AnyBinding
from crypto.secret.pads import Pads

KEY_BYTES = 32


class SumCheck(Protocol):
    """What goes with an update so that its sum can be verified."""

    def attach(self, fields: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """An update with its check value.

        Args:
            fields: Noised update in grid steps, int64 [P].
            binding: The attempt.

        Returns:
            int64 [P + E], to be encoded once.

        Raises:
            ProtocolError: As `Pads.words`.
        """
        ...

    def verified(self, total: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """The sum of updates out of a decoded sum, int64 [P].

        Args:
            total: What was decoded, int64 [P + E].
            binding: The attempt.

        Raises:
            SumNotVerified: It is not the sum of what the nodes of the attempt encoded.
        """
        ...


class Unverified:
    """Of a run whose sums are believed: nothing goes with an update, and E is 0."""

    def attach(self, fields: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """The update as it is."""
        return fields

    def verified(self, total: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """The sum as it is."""
        return total


class LinearCheck:
    """Of a run whose sums are verified. Never printed, never pickled.

    Args:
        key: Which the run's nodes share and nobody else has, KEY_BYTES.
        pads: This node's pair secrets.
        params: Of the run.
    """

    def __init__(self, key: bytes, pads: Pads, params: CodecParams) -> None:
        self._key, self._pads = key, pads
        self._room = params.nodes, params.field_bits

    def attach(self, fields: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """An update with its check value; as `SumCheck`."""
        element = (self._combined(fields, binding) + self._pads.element(binding, PRIME)) % PRIME
        return np.concatenate((fields, digits_of(element, *self._room)))

    def verified(self, total: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        """The sum of updates, once it is found to be that; as `SumCheck`."""
        length = total.size - check_coordinates(*self._room)
        fields, digits = total[:length], total[length:]
        if self._combined(fields, binding) % PRIME != element_of(digits.tolist(), len(binding.cohort), *self._room):
            raise SumNotVerified(
                "is not the sum of what its nodes encrypted; it was not applied",
                where=f"sum of round {binding.round}, attempt {binding.number}",
                cure="the aggregator altered it, or a node's check value is not of its update: find out which before "
                "you configure another run (`afml configure`)",
            )
        return fields

    def _combined(self, fields: NDArray[np.int64], binding: AnyBinding) -> int:
        blocks = (fields[start : start + BLOCK] for start in range(0, fields.size, BLOCK))
        return sum(map(combined, self._coefficients(fields.size, binding), blocks))

    def _coefficients(self, length: int, binding: AnyBinding) -> Iterator[NDArray[np.uint16]]:
        """Of `length` coordinates, BLOCK at a time, each block [PIECES, n] as `combined` takes it."""
        digest = binding.config_digest
        place = struct.pack("<2Q", binding.round, binding.number) + binding.cohort_digest
        info = b"afml sum check v1" + struct.pack("<I", len(digest)) + digest + place
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self._key)
        stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        for start in range(0, length, BLOCK):
            count = min(BLOCK, length - start)
            yield np.frombuffer(stream.update(bytes(2 * PIECES * count)), "<u2").reshape(PIECES, count)

    def __repr__(self) -> str:
        return "LinearCheck(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys of a sum's check are never pickled")
