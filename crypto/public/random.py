"""Randomness for sampling, noise and rounding: one module, two sources.

`SystemRandom` draws an AES-256 key from the operating system and expands it with AES-CTR; its
security is that of AES as a pseudorandom function. `SeededRandom` derives the key from a seed and
labels instead: reproducible, for simulation only, and marked `insecure`.

Gaussian samples are float64 by Box-Muller over 64-bit uniforms: the tail ends at 9.4 standard
deviations (mass 1e-20). docs/design/noise.md discusses floating point and the integer grid.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

_BLOCK = 1 << 15  # samples


class RandomSource(Protocol):
    """A stream of random numbers.

    Attributes:
        insecure: Somebody who knows a seed can replay it.
        path: What `source` makes the same stream of, seed and labels; None where nobody can replay it.
    """

    insecure: bool

    @property
    def path(self) -> tuple[object, ...] | None:
        """Seed and labels, None without a seed."""
        ...

    def uint64(self, count: int) -> NDArray[np.uint64]:
        """`count` uniform 64-bit words."""
        ...

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` uniforms in [0, 1), multiples of 2^-53."""
        ...

    def normal(self, count: int) -> NDArray[np.float64]:
        """`count` standard normal samples."""
        ...

    def child(self, *labels: object) -> RandomSource:
        """An independent stream; the same one for the same labels only if the source is seeded."""
        ...


class _Stream:
    def __init__(self, key: bytes) -> None:
        self._keystream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def uint64(self, count: int) -> NDArray[np.uint64]:
        """`count` uniform 64-bit words."""
        return np.frombuffer(self._keystream.update(bytes(8 * count)), dtype="<u8").copy()

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` uniforms in [0, 1), multiples of 2^-53."""
        return (self.uint64(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, count: int) -> NDArray[np.float64]:
        """`count` standard normal samples (Box and Muller 1958)."""
        pairs = (count + 1) // 2
        samples = np.empty(2 * pairs)
        first, second = samples[:pairs], samples[pairs:]
        # Block by block, so that temporaries stay in a core's cache: all words of the radii, then all of the angles.
        for start in range(0, pairs, _BLOCK):
            radius = first[start : start + _BLOCK]
            # (k + 1) / 2^64 is never zero, so the logarithm is finite.
            radius[:] = np.sqrt(-2.0 * np.log((self.uint64(len(radius)).astype(np.float64) + 1.0) * 2.0**-64))
        for start in range(0, pairs, _BLOCK):
            radius = first[start : start + _BLOCK]
            angle = 2.0 * np.pi * self.uniform(len(radius))
            second[start : start + _BLOCK] = radius * np.sin(angle)
            radius *= np.cos(angle)
        return samples[:count]


class SystemRandom(_Stream):
    """AES-256-CTR keyed by the operating system."""

    insecure = False
    path = None

    def __init__(self) -> None:
        super().__init__(os.urandom(32))

    def child(self, *labels: object) -> SystemRandom:
        """A freshly keyed stream."""
        return SystemRandom()


class SeededRandom(_Stream):
    """AES-256-CTR keyed by SHA-256 of a seed and labels. Simulation only."""

    insecure = True

    def __init__(self, seed: int, *labels: object) -> None:
        self.path: tuple[Any, ...] = (seed, *labels)
        super().__init__(hashlib.sha256(repr(self.path).encode()).digest())

    def child(self, *labels: object) -> SeededRandom:
        """The stream of the same seed under longer labels."""
        return SeededRandom(*self.path, *labels)


def source(seed: int | None, *labels: object) -> RandomSource:
    """`SystemRandom` without a seed, `SeededRandom` with one."""
    return SystemRandom() if seed is None else SeededRandom(seed, *labels)
