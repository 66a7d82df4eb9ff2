"""The public grid: noised coordinates become whole numbers of steps, without bias.

`quantise` turns the update by the round's public rotation, where there is one, and rounds x / step down or up at random
so that its expectation is x / step. Nothing is clamped and nothing wraps here: words know sums mod 2^T
(`crypto.public.packing`), and what comes out of them is a function of the sum of these integers alone.

`noised` adds a node's Gaussian noise as well, to what was turned, and rounds exactly (`crypto.public.exactnoise`).

In distributed-noise mode rounding happens before the sum and is not post-processing. It is harmless only
while each node's own noise spans several grid steps, which whoever chooses the grid must see to
(`STEPS_PER_SIGMA` in `afml.privacy.noise`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from crypto.public import exactnoise
from crypto.public.random import RandomSource
from crypto.public.rotation import Rotation

FURTHEST = 2.0**52
"""Steps from zero beyond which float64 holds no halves of them: no update comes near."""
_BLOCK = 1 << 15  # coordinates


@dataclass(frozen=True)
class Grid:
    """A grid of `step` (units of the update), over coordinates turned by `rotation`.

    Raises:
        ConfigError: The step is not a positive finite number.
    """

    step: float
    rotation: Rotation | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0.0):
            raise ConfigError(f"grid step {self.step} is not a positive number", where="grid")

    def turned(self, seed: bytes) -> Grid:
        """The same grid over coordinates turned by the rotation of a public seed."""
        return replace(self, rotation=Rotation(seed))

    def quantise(self, values: NDArray[np.float64], rng: RandomSource) -> NDArray[np.int64]:
        """Turn, and round at random to grid steps.

        Args:
            values: Coordinates, [P].
            rng: Rounding randomness; one uniform per coordinate.

        Returns:
            Grid steps, int64 [P].

        Raises:
            InputError: A value is NaN, infinite, or more than FURTHEST steps.
        """
        flat = self._turned(values)
        integers = np.empty(flat.size, dtype=np.int64)
        # Block by block, so that temporaries stay in a core's cache; the stream of draws is the same.
        for start in range(0, flat.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            scaled = flat[part] / self.step
            # Split first: floor(s + u) would lose the uniform's low bits where s is large.
            whole = np.floor(scaled)
            scaled -= whole
            whole += rng.uniform(scaled.size) < scaled
            integers[part] = whole
        return integers

    def noised(self, values: NDArray[np.float64], std: float, rng: RandomSource) -> NDArray[np.int64]:
        """Turn, add Gaussian noise, and round at random to grid steps: exactly, once the values are turned.

        Args:
            values: Coordinates, [P].
            std: Standard deviation of the noise, positive, in units of the update.
            rng: Randomness of noise and rounding.

        Returns:
            Grid steps, int64 [P].

        Raises:
            InputError: As `quantise`.
        """
        turned = self._turned(values)
        own = None if self.rotation is None else turned  # as long as the model: no third one where there are two
        return exactnoise.noised(np.divide(turned, self.step, out=own), std / self.step, rng)

    def _turned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        given = np.asarray(values, dtype=np.float64)
        self._require_near(given)
        return given if self.rotation is None else self.rotation.turn(given)

    def _require_near(self, values: NDArray[np.float64]) -> None:
        limit = FURTHEST * self.step / math.sqrt(max(1, values.size))  # so that no rotation can go beyond it
        if values.size and not (-limit < float(values.min()) and float(values.max()) < limit):  # NaN is neither
            bad = int(np.count_nonzero(~(np.abs(values) < limit)))
            raise InputError(
                f"{bad} of {values.size} values are NaN, infinite or beyond any clipped update",
                where="update",
                cure="lower the learning rate or clip",
            )

    def dequantise(self, total: NDArray[np.int64]) -> NDArray[np.float64]:
        """`total` grid steps in units of the update, turned back, float64 [P]; the same bits on every machine."""
        values = total.astype(np.float64)
        values *= self.step  # in place: it is as long as the model
        return values if self.rotation is None else self.rotation.back(values)
