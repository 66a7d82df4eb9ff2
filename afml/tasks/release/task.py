"""A task that releases declared vectors: what of it does not depend on what the vectors mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.tasks.release.blocks import Blocks, Estimate
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import sum_std
from afml.tasks.release.sums import Sums
from afml.training.task import NoPublicPart, PredictsNothing, Rows
from crypto.public.random import RandomSource

_VALUES_AT_ONCE = 1 << 22  # of a micro-batch, float64: 32 MiB, a few times over


class ReleaseTask(Sums, PredictsNothing, NoPublicPart, ABC):
    """A task whose phases are one noised sum each; see `afml.training.task.Task`.

    A subclass says what a person's vector is (`vector`, `values`) and what the sums mean (`model`).

    Args:
        run: The run configuration.
    """

    @abstractmethod
    def vector(self, phase: int) -> Blocks:
        """What a person's vector is made of, [length(phase)] together."""

    @abstractmethod
    def values(self, phase: int, enrolled: Any, people: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """Values of some people, for `Blocks.rows`.

        Args:
            phase: Index of the phase.
            enrolled: The node's people.
            people: Rows of `enrolled`, one per person, [people].
        """

    @abstractmethod
    def model(self) -> ReleaseModel:
        """The result as it stands; before the sums are there, one that says so."""

    def estimates(self, phase: int) -> dict[str, Estimate]:
        """What the sum of a phase says, block by block; all 0 about the centre while it is not there."""
        return self.vector(phase).estimates(self.sum(phase), self.people(phase), sum_std(self.run, phase))

    def blocks(self, phase: int) -> tuple[float, ...]:
        """See `Task.blocks`."""
        return self.vector(phase).shares

    def people_at_once(self, phase: int) -> int:
        """See `Task.people_at_once`."""
        return max(1, _VALUES_AT_ONCE // max(1, self.length(phase)))

    def gradients(self, phase: int, enrolled: Any, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        """See `Task.gradients`: a person's vector; nothing is random about it."""
        return self.vector(phase).rows(self.values(phase, enrolled, people))
