"""A public random rotation: no coordinate of a sum is much larger than its norm over sqrt(block) any more.

The randomised Hadamard transform of Kairouz, Liu, Steinke (2021): random signs, then the Walsh-Hadamard matrix over
sqrt(n), block by block. Blocks are powers of two; where they do not divide the length, one more block covers the last n
coordinates, those that were turned already included. The product of these maps is orthogonal on exactly the
coordinates that there are: nothing is padded, so noise that is spherical stays spherical, with no direction in which
there is none.

Each coordinate that comes out is a sum of n values of one block under independent signs over sqrt(n): sub-Gaussian with
variance proxy norm^2 / n (Hoeffding), for any values that do not depend on the seed.

Only additions, subtractions and products of single numbers in a fixed order: every machine comes to the same float64.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

LARGEST_BLOCK = 1 << 18
"""Larger blocks would spread further, but 18 passes over 2 MB stay in a core's cache."""
_COLUMNS = 128


def block_of(length: int) -> int:
    """n, coordinates of a block of a vector of `length`: the largest power of two that fits, up to LARGEST_BLOCK."""
    return min(LARGEST_BLOCK, 1 << (max(1, length).bit_length() - 1))


@dataclass(frozen=True)
class Rotation:
    """The rotation of a seed, for vectors of any length.

    Attributes:
        seed: Public; what is turned must not depend on it.
    """

    seed: bytes

    def turn(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`values` [P] turned, a new array of the same norm."""
        turned = np.array(values, dtype=np.float64)
        for part, signs in self._blocks(turned.size):
            block = turned[part]
            block *= signs
            block[:] = _hadamard(block, _rows(block.size))
        return turned

    def back(self, turned: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `turn` turned, a new array [P]."""
        values = np.array(turned, dtype=np.float64)
        for part, signs in self._blocks(values.size, last_first=True):
            block = values[part]
            block[:] = _hadamard(block, block.size // _rows(block.size))
            block *= signs
        return values

    def _blocks(self, length: int, *, last_first: bool = False) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Blocks in the order in which they are turned, each with its signs over sqrt(n)."""
        size = block_of(length)
        starts = list(range(0, length - size + 1, size))
        if length % size:
            starts.append(length - size)
        octets = -(-size // 8)
        key = hashlib.sha256(b"afml rotation 1" + self.seed).digest()
        stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(octets * len(starts)))
        scale = 1.0 / math.sqrt(size)
        for index in reversed(range(len(starts))) if last_first else range(len(starts)):
            bits = np.frombuffer(stream, np.uint8, octets, index * octets)
            signs = np.where(np.unpackbits(bits, count=size), -scale, scale)
            yield slice(starts[index], starts[index] + size), signs


def _rows(size: int) -> int:
    return 1 << (size.bit_length() // 2)


def _hadamard(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """The Walsh-Hadamard matrix, without its 1 / sqrt(n), times `values` [n], in the order of the transposed matrix.

    Over a matrix of `rows` it is one transform along each axis; applied again with n / rows rows it gives n times the
    values it began with.
    """
    return _transformed(_transformed(values.reshape(rows, -1))).reshape(-1)


def _transformed(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The transform along axis 0 of [rows, columns], as [columns, rows].

    Every pass puts sums of neighbouring rows into the upper half and differences into the lower one: log2(rows) of
    them are the whole transform, rows in their order. Some columns at a time, so that they stay in a core's cache.
    """
    rows, columns = matrix.shape
    transformed, half = np.empty((columns, rows)), rows // 2
    for start in range(0, columns, _COLUMNS):
        now = matrix[:, start : start + _COLUMNS].copy()
        after = np.empty_like(now)
        for _ in range(rows.bit_length() - 1):
            np.add(now[0::2], now[1::2], out=after[:half])
            np.subtract(now[0::2], now[1::2], out=after[half:])
            now, after = after, now
        transformed[start : start + _COLUMNS] = now.T
    return transformed
