"""One private round, the part that the federation and the in-process reference must share bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.privacy.noise import node_std, round_grid
from afml.training.clipping import clipped_part
from afml.training.ghost import GhostTask, ghost_part
from afml.training.processes.group import Group, SumRequest
from afml.training.task import Enrolled, Task
from crypto.public.grid import Grid
from crypto.public.random import RandomSource, source

_LEAST_DRAW = 2.0**-53


class NodeUpdate(NamedTuple):
    """A node's update, and the randomness that rounds it to the grid.

    Attributes:
        values: Clipped sum plus noise, float64 [parameters of the round's phase]; in a run with exact noise the sum
            alone, which never leaves as it is.
        rounding: Of rounding, and of exact noise.
        exact_std: Standard deviation of the noise that comes with rounding, where it is exact; else 0.
    """

    values: NDArray[np.float64]
    rounding: RandomSource
    exact_std: float = 0.0

    def rounded(self, grid: Grid) -> NDArray[np.int64]:
        """What is encrypted: steps of the round's grid (`afml.privacy.noise.round_grid`), int64 [parameters]."""
        if self.exact_std > 0.0:
            return grid.noised(self.values, self.exact_std, self.rounding)
        return grid.quantise(self.values, self.rounding)


@dataclass(frozen=True)
class Trainer:
    """One node's task on its enrolled people. All that the guarantee rests on happens here.

    Attributes:
        run: The run configuration.
        task: At the parameters of the round.
        enrolled: The node's people.
        group: The processes that share each clipped sum, where there are several.
    """

    run: RunConfig
    task: Task
    enrolled: Enrolled
    group: Group | None = None

    def update(self, node: int, round_number: int) -> NodeUpdate:
        """One node's update of one attempt: Poisson batch, clipped sum, Gaussian noise.

        Without a configured seed every call draws fresh randomness from the operating system, so every attempt
        has its own batch and noise. With one (simulation only, marked insecure) all attempts of a round draw the
        same, so that a run which lost an attempt ends with the same bits.

        Args:
            node: Node number.
            round_number: 1-based private round of the run.
        """
        stream = source(self.run.seed, "node", node, "round", round_number)
        index, phase = self.run.phase_of(round_number)
        std, rounding = node_std(self.run, phase), stream.child("rounding")
        if self.run.exact_noise:
            return NodeUpdate(self.batch_sum(index, stream), rounding, std)
        return NodeUpdate(self.private_update(index, stream, std), rounding)

    def private_update(self, phase: int, stream: RandomSource, std: float) -> NDArray[np.float64]:
        """Poisson batch, clipped sum, noise. An empty batch gives noise alone.

        Args:
            phase: Index into the run's phases.
            stream: The round's random source; its children "batch", "people" and "noise" are used.
            std: Standard deviation of this node's noise per coordinate (afml.privacy.noise.node_std).

        Returns:
            float64 [parameters of the phase].
        """
        update = self.batch_sum(phase, stream)
        noised = stream.child("noise").normal(len(update))
        noised *= std  # in place: each of these vectors is as long as the model
        noised += update
        return noised

    def batch_sum(self, phase: int, stream: RandomSource) -> NDArray[np.float64]:
        """Clipped sum of a Poisson batch, without noise; arguments and result are those of `private_update`."""
        drawn = stream.child("batch").uniform(len(self.enrolled))
        # Multiples of 2^-53: nobody is drawn with more than the accounted rate, not by that much either.
        batch = np.flatnonzero(drawn + _LEAST_DRAW <= self.run.phases[phase].sample_rate)
        return self.clipped_sum(phase, batch, stream.child("people"))

    def clipped_sum(self, phase: int, batch: NDArray[np.int64], stream: RandomSource) -> NDArray[np.float64]:
        """Sum over the batch's people of gradients clipped to the phase's clip norm, without noise.

        Where the node has several processes (`afml.training.processes`), they share the batch among them.

        Args:
            phase: Index into the run's phases.
            batch: Rows of the enrolled.
            stream: Source of each person's own randomness (line-ups, relaxed masks).

        Returns:
            float64 [parameters of the phase]; zeros for an empty batch.

        Raises:
            ProcessLost: Another process of this node is gone; there is no sum.
            IntegrityError: One gave what cannot be its part; there is no sum.
        """
        clip_norm = self.run.phases[phase].clip_norm
        if self.group is None:
            return self.part(phase, batch, stream)
        with self.group.sharing():
            request = SumRequest(self.held(), phase, batch, stream.path, self.task.state())
            self.group.announce(request)
            part = self.part(phase, self.group.part(batch), stream)
            return self.group.collect(part, batch, clip_norm)

    def part(self, phase: int, batch: NDArray[np.int64], stream: RandomSource) -> NDArray[np.float64]:
        """`clipped_sum` by this process alone."""
        clip_norm = self.run.phases[phase].clip_norm
        if isinstance(self.task, GhostTask) and self.task.ghost:  # of code within this process alone, by its class
            return ghost_part(self.task, phase, clip_norm, self.enrolled, batch, stream)
        return clipped_part(self.task, phase, clip_norm, self.enrolled, batch, stream)

    def load_others(self) -> None:
        """Have the node's other processes, where there are any, load this run and these people.

        Before the node enrols: it takes as long as loading took here, and then peers' deadlines do not run yet.

        Raises:
            ProcessLost: One is gone, or holds something else.
            IntegrityError: Somebody else answered.
        """
        if self.group is not None:
            self.group.load(self.held())

    def held(self) -> str:
        """Digest, hex, of run and people: what a clipped sum depends on beside parameters, batch and streams."""
        return f"{self.run.digest().hex()} {self.enrolled.digest()}"


def apply_total(
    task: Task, config: RunConfig, round_number: int, cohort: Sequence[int], total: NDArray[np.int64]
) -> None:
    """Apply the exact integer sum of a round's updates.

    Args:
        task: Changed in place.
        config: The run configuration.
        round_number: 1-based private round of the run.
        cohort: Nodes in the sum; their declared enrolment is the divisor.
        total: Sum over the cohort's nodes in steps of the round's grid, int64 [parameters].
    """
    index, _ = config.phase_of(round_number)
    people = sum(config.enrolled[node] for node in cohort)
    task.apply(index, round_grid(config, round_number).dequantise(total), people)
