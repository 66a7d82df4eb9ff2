"""The public grid: noised coordinates become integers of a few bits, without bias.

`quantise` rounds x / step down or up at random so that its expectation is x / step, then wraps into the
centred range [-2^(bits-1), 2^(bits-1)). It wraps and never clamps: reduced mod 2^bits, the decrypted sum is
a function of the sum of the unwrapped integers alone, so what wrapping changes is covered by the same tail
probability that the privacy accounting already adds to delta. A range that is too small shows in the
decrypted sum (`fill`); nothing else about it is ever published.

In distributed-noise mode rounding happens before the sum and is not post-processing. It is harmless only
while each node's own noise spans several grid steps: `require_noise`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from crypto.public.random import RandomSource

MIN_NOISE_STEPS = 4.0
"""Least noise standard deviation of one node in grid steps; the smoothing error is then below 1e-137."""

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
        return total.astype(np.float64) * self.step

    def fill(self, total: NDArray[np.int64], nodes: int) -> float:
        """How full the range was, read from the decrypted sum of `nodes` updates.

        Root mean square of the sum over that of `nodes` updates wrapped to uniform: near 1 means the sum is
        meaningless, below 0.3 that wrapping is rare.
        """
        if total.size == 0:
            return 0.0
        uniform = math.sqrt(nodes / 12.0) * 2.0**self.bits
        return float(np.sqrt(np.mean(np.square(total.astype(np.float64))))) / uniform

    def require_noise(self, node_std: float) -> None:
        """Check that one node's noise standard deviation (units of the update) is at least four steps.

        Raises:
            ConfigError: The grid is too coarse for noise that only the sum of the nodes completes.
        """
        if node_std < MIN_NOISE_STEPS * self.step:
            raise ConfigError(
                f"one node's noise is {node_std / self.step:.2f} grid steps, below {MIN_NOISE_STEPS:g}: "
                "rounding before the sum would void the distributed noise guarantee",
                where="grid",
                cure="use more bits, more noise, or noise = 'local'",
            )
