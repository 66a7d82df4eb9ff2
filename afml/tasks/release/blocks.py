"""Blocks of a declared vector: how a person's values go in, and how sums of them come out, with their noise.

Every person contributes one vector. It is made of named blocks, and each block is shortened to its own bound in L2, so
that whoever is unusual in one block leaves the others alone. With bounds b_1 .. b_k, and B = sqrt(b_1^2 + ... + b_k^2),
the vector that is clipped is (weight * (value - centre)) / B, block i of it to the share b_i / B of the clip norm 1. A
coordinate's sum over people then carries noise of std * B / weight, in its own unit. Centres, weights and bounds are
public: declared, or made of public data.

The noise is the same for every coordinate of the vector, so the weights share it out. For the least sum of standard
errors over coordinates whose variance is V_j they are V_j^(-1/3): minimise sum(1 / w_j) with sum(w_j^2 V_j) fixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from afml.training.task import Rows

SHORTENED = "shortened"
"""Name of the block that counts people of whom some other block had to be shortened."""
_SHORTENED_SHARE = 0.1  # its bound over that of the rest: it costs them half a hundredth of their noise
_HAIR = 4e-6  # Opacus clips whoever is nearer to the bound than 1e-6
_ROUNDING = 1e-9  # a norm is above its bound by more than this, relative to it, or it is not above it


@dataclass(frozen=True, eq=False)
class Block:
    """One named part of every person's vector.

    Attributes:
        name: Of the block.
        shape: Of one person's values.
        bound: Longest that a person's weighted, centred values may be, in L2; what is longer is shortened to it.
        centre: Public; what a value is the distance from, a number or an array [*shape].
        weight: Above 0; the larger, the less noise and the more of the bound, a number or an array [*shape].
        sure: Nobody can be above the bound, whatever their values: it is no guess.
    """

    name: str
    shape: tuple[int, ...]
    bound: float
    centre: float | NDArray[np.float64] = 0.0
    weight: float | NDArray[np.float64] = 1.0
    sure: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ValueError(f"block {self.name}: a bound of {self.bound}")
        if not bool(np.all(np.isfinite(self.weight)) and np.all(np.asarray(self.weight) > 0)):
            raise ValueError(f"block {self.name}: a weight that is not a positive number")

    @property
    def size(self) -> int:
        """How many coordinates it has."""
        return math.prod(self.shape)

    def weighted(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(value - centre) * weight, [people, size]; 0 where a value is not known (NaN).

        Args:
            values: [people, *shape].
        """
        if values.shape[1:] != self.shape:
            raise ValueError(f"block {self.name} of shape {self.shape}: values of shape {values.shape[1:]}")
        found = (values - self.centre) * self.weight
        return np.where(np.isnan(found), 0.0, found).reshape(len(values), self.size)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What comes out of one block.

    Attributes:
        deviations: Noised sum over people of value - centre, somebody without a value counting 0, float64 [*shape].
        centre: Of the block, [*shape].
        std: Standard deviation of the noise in `deviations`, [*shape].
        people: Whose values were added: the declared enrolment.
    """

    deviations: NDArray[np.float64]
    centre: NDArray[np.float64]
    std: NDArray[np.float64]
    people: int

    @property
    def sum(self) -> NDArray[np.float64]:
        """Noised sum of the values, those that are not known counted as the centre, [*shape]; its noise is `std`."""
        return self.deviations + self.people * self.centre

    @property
    def mean(self) -> NDArray[np.float64]:
        """The sum over people, [*shape]; its noise is `mean_std`."""
        return self.centre + self.deviations / max(1, self.people)

    @property
    def mean_std(self) -> NDArray[np.float64]:
        """Standard deviation of the noise in `mean`, [*shape]."""
        return self.std / max(1, self.people)


class Blocks:
    """A declared vector of named blocks.

    Args:
        blocks: At least one, of different names.
        count_shortened: Add the block `SHORTENED`, where some bound is a guess: the number of people of whom a block
            was shortened is then known (noised), and nothing is shortened in silence.
    """

    def __init__(self, *blocks: Block, count_shortened: bool = False) -> None:
        names = [block.name for block in blocks]
        if not blocks or len(set(names)) < len(names):
            raise ValueError("a vector needs blocks, and different names of them")
        self._counts = count_shortened and not all(block.sure for block in blocks)
        if self._counts:
            # The value is 0 or 1: half a unit from its centre, whichever it is.
            bound = _SHORTENED_SHARE * math.sqrt(math.fsum(block.bound**2 for block in blocks))
            blocks = (*blocks, Block(SHORTENED, (1,), bound, centre=0.5, weight=2.0 * bound, sure=True))
        self.blocks = blocks
        self.bound = math.sqrt(math.fsum(block.bound**2 for block in blocks))
        """B: a person's whole weighted vector is no longer, in L2."""

    def __len__(self) -> int:
        return sum(block.size for block in self.blocks)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the clip norm of each block; see `afml.training.task.Task.blocks`."""
        return tuple(block.bound / self.bound for block in self.blocks)

    @cached_property
    def _scales(self) -> tuple[float, ...]:
        """What each block's weighted values are divided by: B, and a hair more, so that a value at its bound stays."""
        return tuple(self.bound / max(0.5, 1.0 - _HAIR / share) for share in self.shares)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where each block stands in the vector."""
        ends = np.cumsum([block.size for block in self.blocks]).tolist()
        return {block.name: slice(end - block.size, end) for block, end in zip(self.blocks, ends, strict=True)}

    def rows(self, values: Mapping[str, NDArray[np.float64]]) -> list[Rows]:
        """A vector for each person, unclipped: what `Task.gradients` gives for a clip norm of 1.

        Args:
            values: Block -> [people, *shape], a row for each person; NaN where a value is not known.
        """
        own = self.blocks[:-1] if self._counts else self.blocks
        parts = [block.weighted(values[block.name]) for block in own]
        if self._counts:
            above = np.zeros(len(parts[0]), np.bool_)
            for block, part in zip(own, parts, strict=True):
                above |= np.sqrt(np.einsum("ij,ij->i", part, part)) > block.bound * (1 + _ROUNDING)
            parts.append(self.blocks[-1].weighted(above[:, None].astype(np.float64)))
        return [Rows([torch.from_numpy(part / scale)]) for part, scale in zip(parts, self._scales, strict=True)]

    def estimates(self, total: NDArray[np.float64], people: int, std: float) -> dict[str, Estimate]:
        """The blocks' sums in their own units.

        Args:
            total: Noised sum of people's clipped vectors, [P].
            people: Whose vectors they are.
            std: Standard deviation of the noise of each coordinate of `total` (`afml.tasks.release.plan.sum_std`).
        """
        if total.shape != (len(self),):
            raise ValueError(f"a sum of shape {total.shape} for a vector of {len(self)}")
        found = {}
        for block, divisor in zip(self.blocks, self._scales, strict=True):
            scale = np.broadcast_to(divisor / np.asarray(block.weight, np.float64), block.shape)
            deviations = total[self.places[block.name]].reshape(block.shape) * scale
            centre = np.broadcast_to(np.asarray(block.centre, np.float64), block.shape)
            found[block.name] = Estimate(deviations, centre, std * scale, people)
        return found


def balanced_weights(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights V^(-1/3) with which the sum of the coordinates' standard errors is least.

    By Newton's iteration in elementwise multiplications and divisions, which round alike everywhere: a power from
    a mathematical library may differ in its last bit from machine to machine, and all nodes must hold equal weights.

    Args:
        variance: Of each coordinate, above 0.
    """
    if not bool(np.all(np.isfinite(variance)) and np.all(variance > 0)):
        raise ValueError("a variance that is not a positive number")
    fraction, exponent = np.frexp(variance)  # fraction in [1/2, 1)
    thirds, rest = np.divmod(exponent, 3)
    value = np.ldexp(fraction, rest)  # in [1/2, 4)
    root = np.full(np.shape(value), 1.2)
    for _ in range(8):
        root = root - (root * root * root - value) / (3.0 * (root * root))
    return np.asarray(1.0 / np.ldexp(root, thirds))
