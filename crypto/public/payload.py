"""The bytes of one ciphertext on the wire.

A seeded symmetric ciphertext is (c0, seed): c1 is expanded from the public seed. The sum of K of them is
(sum of c0, the K seeds); whoever decrypts expands and adds the c1 parts.

    upload   "AFU1" | parameter digest, 12 bytes | seed, 64 bytes | c0
    total    "AFT1" | parameter digest, 12 bytes | K, 2 bytes | K seeds, ascending | c0

c0 is N coefficients below q in number-theoretic-transform order, each of `prime_bits` bits: the whole
bytes, coefficient by coefficient, then what is left of each, 1 to 7 bits from the highest on, packed. Every
integer is little-endian. Sizes are exact, so nothing can be cut off or added.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ProtocolError
from crypto.public.params import CodecParams

SEED_BYTES = 64
_UPLOAD, _TOTAL = b"AFU1", b"AFT1"
_DIGEST_BYTES = 12
_HEADER = 4 + _DIGEST_BYTES


@dataclass(frozen=True)
class Ciphertext:
    """Seeds of the c1 parts and the c0 polynomial, uint64 [N], each coefficient below q."""

    seeds: tuple[bytes, ...]
    body: NDArray[np.uint64]


def upload_size(params: CodecParams) -> int:
    """Bytes of one node's payload."""
    return _HEADER + SEED_BYTES + _body_size(params)


def total_size(params: CodecParams, nodes: int) -> int:
    """Bytes of the sum of `nodes` payloads."""
    return _HEADER + 2 + nodes * SEED_BYTES + _body_size(params)


def write_upload(params: CodecParams, seed: bytes, body: NDArray[np.uint64]) -> bytes:
    """One node's payload."""
    return _UPLOAD + params.digest()[:_DIGEST_BYTES] + seed + _write_body(params, body)


def write_total(params: CodecParams, seeds: Sequence[bytes], body: NDArray[np.uint64]) -> bytes:
    """The sum of several payloads; the same bytes in whatever order they were added."""
    head = _TOTAL + params.digest()[:_DIGEST_BYTES] + struct.pack("<H", len(seeds))
    return head + b"".join(sorted(seeds)) + _write_body(params, body)


def read_upload(params: CodecParams, payload: bytes) -> Ciphertext:
    """Parse one node's payload.

    Raises:
        ProtocolError: Wrong size, kind, parameters, or a coefficient that is not below q.
    """
    _check(params, payload, _UPLOAD, upload_size(params))
    return Ciphertext((payload[_HEADER : _HEADER + SEED_BYTES],), _read_body(params, payload, _HEADER + SEED_BYTES))


def read_total(params: CodecParams, payload: bytes) -> Ciphertext:
    """Parse a sum.

    Raises:
        ProtocolError: As `read_upload`, or more seeds than the parameters allow, or a repeated one.
    """
    count = int.from_bytes(payload[_HEADER : _HEADER + 2], "little")
    if not 1 <= count <= params.nodes:
        raise ProtocolError(f"total of {count} updates; the parameters hold 1 to {params.nodes}", where="payload")
    _check(params, payload, _TOTAL, total_size(params, count))
    first = _HEADER + 2
    seeds = tuple(payload[first + i * SEED_BYTES : first + (i + 1) * SEED_BYTES] for i in range(count))
    if len(set(seeds)) != count:
        raise ProtocolError("an update was added twice", where="payload")
    return Ciphertext(seeds, _read_body(params, payload, first + count * SEED_BYTES))


def _check(params: CodecParams, payload: bytes, kind: bytes, size: int) -> None:
    if payload[:4] != kind:
        raise ProtocolError("not a ciphertext of this kind", where="payload")
    if payload[4:_HEADER] != params.digest()[:_DIGEST_BYTES]:
        raise ProtocolError("made with other codec parameters", where="payload", cure="every node needs the same run")
    if len(payload) != size:
        raise ProtocolError(f"{len(payload)} bytes, not {size}", where="payload")


def _body_size(params: CodecParams) -> int:
    return params.poly_modulus * params.prime_bits // 8


def _write_body(params: CodecParams, body: NDArray[np.uint64]) -> bytes:
    whole, left = divmod(params.prime_bits, 8)
    octets = np.ascontiguousarray(body, dtype="<u8").view(np.uint8).reshape(-1, 8)  # [N, 8]
    data = octets[:, :whole].tobytes()
    if left:
        bits = np.unpackbits(octets[:, whole : whole + 1], axis=1)  # [N, 8]
        data += np.packbits(bits[:, 8 - left :]).tobytes()
    return data


def _read_body(params: CodecParams, payload: bytes, offset: int) -> NDArray[np.uint64]:
    (whole, left), size = divmod(params.prime_bits, 8), params.poly_modulus
    octets = np.zeros((size, 8), dtype=np.uint8)
    octets[:, :whole] = np.frombuffer(payload, np.uint8, size * whole, offset).reshape(size, whole)
    if left:
        packed = np.frombuffer(payload, np.uint8, size * left // 8, offset + size * whole)
        bits = np.zeros((size, 8), dtype=np.uint8)
        bits[:, 8 - left :] = np.unpackbits(packed).reshape(size, left)
        octets[:, whole] = np.packbits(bits)
    body = octets.view("<u8").reshape(size).astype(np.uint64, copy=False)
    if int(body.max()) >= params.prime:
        raise ProtocolError("a coefficient is not below the modulus", where="payload")
    return body
