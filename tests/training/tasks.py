"""Tasks of a few lines: their rows are those of one module, or whatever a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.training.clipping import ClippedSum, RowGradients, clipped_part, flatten
from afml.training.folding import fold
from afml.training.task import Enrolled, Rows
from crypto.public.random import RandomSource, source

Loss = Callable[[nn.Module, slice], torch.Tensor]
"""(module, people) -> loss of each of their rows."""


class People(list[object]):
    """Somebody to draw batches of; the tasks below hold their data themselves."""

    def digest(self) -> str:
        return str(len(self))


class Told:
    """A task that gives what it is told, whoever is asked for.

    Args:
        given: People of a micro-batch -> their rows, a `Rows` for each block.
        length: Of the update vector.
        shares: Of the clip norm, a number for each block.
        at_once: People of a micro-batch.
    """

    has_public_part = True

    def __init__(
        self,
        given: Callable[[NDArray[np.int64]], list[Rows]],
        length: int,
        *,
        shares: Sequence[float] = (1.0,),
        at_once: int = 4,
    ) -> None:
        self._given, self._length, self._shares, self._at_once = given, length, tuple(shares), at_once

    def length(self, phase: int) -> int:
        return self._length

    def blocks(self, phase: int) -> tuple[float, ...]:
        return self._shares

    def people_at_once(self, phase: int) -> int:
        return self._at_once

    def gradients(self, phase: int, enrolled: Enrolled, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        return self._given(people)

    def part(self, clip_norm: float, people: int) -> NDArray[np.float64]:
        """The clipped sum of the first so many people."""
        task: Any = self
        return clipped_part(task, 0, clip_norm, People([None] * people), np.arange(people), source(1))


def of_module(module: nn.Module, loss: Loss, owner: int = 1, *, at_once: int = 4) -> Told:
    """The gradients of a loss through one module; people are consecutive."""
    gradients, length = RowGradients(module, owner), len(flatten(module))

    def given(people: NDArray[np.int64]) -> list[Rows]:
        gradients.backward(loss(gradients.hooked, slice(int(people[0]), int(people[-1]) + 1)).sum())
        return [gradients.rows()]

    return Told(given, length, at_once=at_once)


def vectors(table: NDArray[Any], *, at_once: int = 4) -> Told:
    """One row a person: the rows of a table, [people, length]."""
    return Told(lambda people: [Rows([torch.from_numpy(table[people])])], table.shape[1], at_once=at_once)


def folded(rows: Rows, people: int) -> list[torch.Tensor]:
    """Gradients of whole people, one float64 tensor [people, *shape] per parameter."""
    return [fold(gradient, rows.owner, people) for gradient in rows.dense()]


def clipped(blocks: Sequence[Rows], people: int, bounds: Sequence[float]) -> NDArray[np.float64]:
    """The clipped sum of one micro-batch, its blocks joined."""
    totals = []
    for rows, bound in zip(blocks, bounds, strict=True):
        total = ClippedSum(bound)
        total.add(rows, people)
        totals.append(total.total())
    return np.concatenate(totals)
