"""The public grid: noised coordinates become integers of a few bits, without bias.

`quantise` rounds x / step down or up at random so that its expectation is x / step, then wraps into the
centred range [-2^(bits-1), 2^(bits-1)). It wraps and never clamps: reduced mod 2^bits, the decrypted sum is
a function of the sum of the unwrapped integers alone, so what wrapping changes is covered by the same tail
probability that the privacy accounting already adds to delta.

In distributed-noise mode rounding happens before the sum and is not post-processing. It is harmless only
while each node's own noise spans several grid steps, which whoever chooses the grid must see to
(`STEPS_PER_SIGMA` in `afml.privacy.noise`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from crypto.public.random import RandomSource

_BLOCK = 1 << 15  # coordinates


@dataclass(frozen=True)
class Grid:
    """A grid of `step` (units of the update) with `bits` bits per coordinate.

    Raises:
        ConfigError: The step is not a positive finite number, or bits is outside 2..24.
    """

    step: float
    bits: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0.0):
            raise ConfigError(f"grid step {self.step} is not a positive number", where="grid")
        if not 2 <= self.bits <= 24:
            raise ConfigError(f"{self.bits} bits per coordinate", where="grid", cure="use 2 to 24 bits")

    @property
    def half_range(self) -> float:
        """Largest magnitude that one node's coordinate can have without wrapping, in units of the update."""
        return self.step * float((1 << (self.bits - 1)) - 1)

    def quantise(self, values: NDArray[np.float64], rng: RandomSource, *, name: str = "update") -> NDArray[np.int64]:
        """Round at random to grid steps and wrap.

        Args:
            values: Coordinates, [P].
            rng: Rounding randomness; one uniform per coordinate.
            name: What the values are, for the error message.

        Returns:
            Centred integers, int64 [P], in [-2^(bits-1), 2^(bits-1)).

        Raises:
            InputError: A value is NaN or infinite (or overflows when divided by the step).
        """
        flat = np.asarray(values, dtype=np.float64)
        integers = np.empty(flat.size, dtype=np.int64)
        # Block by block, so that temporaries stay in a core's cache; the stream of draws is the same.
        for start in range(0, flat.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            with np.errstate(over="ignore"):
                scaled = flat[part] / self.step
            if not np.isfinite(scaled).all():
                raise self._not_finite(flat, name)
            # Split first: floor(s + u) would lose the uniform's low bits where s is large.
            whole = np.floor(scaled)
            fraction = scaled - whole
            integers[part] = self._wrap(whole + (rng.uniform(scaled.size) < fraction))
        return integers

    def _not_finite(self, values: NDArray[np.float64], name: str) -> InputError:
        with np.errstate(over="ignore"):
            bad = int(np.count_nonzero(~np.isfinite(values / self.step)))
        return InputError(
            f"{bad} of {values.size} values are NaN or infinite",
            where=name,
            cure="lower the learning rate or clip",
        )

    def _wrap(self, rounded: NDArray[np.float64]) -> NDArray[np.int64]:
        half = 1 << (self.bits - 1)
        if rounded.size and max(-float(rounded.min()), float(rounded.max())) >= half - 1:
            # Exact for every finite float: fmod never rounds.
            rounded = np.fmod(rounded, 2.0 * half)
        integers = rounded.astype(np.int64)
        return ((integers + half) & (2 * half - 1)) - half

    def dequantise(self, total: NDArray[np.int64]) -> NDArray[np.float64]:
        """`total` grid steps in units of the update, float64 [P]."""
        values = total.astype(np.float64)
        values *= self.step  # in place: it is as long as the model
        return values
