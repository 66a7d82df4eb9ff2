"""One private round, the part that the federation and the in-process reference must share bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.run import RunConfig
from afml.privacy.noise import grid_for, node_std
from afml.training.program import Cohort, Program
from crypto.public.random import RandomSource, source


class NodeUpdate(NamedTuple):
    """A node's noised update, and the randomness that rounds it to the grid.

    Attributes:
        values: Clipped sum plus noise, float64 [parameters of the round's phase].
        rounding: For `Grid.quantise`.
    """

    values: NDArray[np.float64]
    rounding: RandomSource


def node_update(program: Program, config: RunConfig, cohort: Cohort, *, node: int, round_number: int) -> NodeUpdate:
    """One node's update of one attempt: Poisson batch, clipped sum, Gaussian noise.

    Without a configured seed every call draws fresh randomness from the operating system, so every attempt
    has its own batch and noise. With one (simulation only, marked insecure) all attempts of a round draw the
    same, so that a run which lost an attempt ends with the same bits.

    Args:
        program: At the parameters of this round.
        config: The run configuration.
        cohort: The node's enrolled people.
        node: Node number.
        round_number: 1-based private round of the run.
    """
    rng = source(config.seed, "node", node, "round", round_number)
    index, phase = config.phase_of(round_number)
    values = program.private_update(index, cohort, rng, node_std(config, phase))
    return NodeUpdate(values, rng.child("rounding"))


def apply_total(
    program: Program, config: RunConfig, round_number: int, cohort: Sequence[int], total: NDArray[np.int64]
) -> None:
    """Apply the exact integer sum of a round's updates.

    Args:
        program: Changed in place.
        config: The run configuration.
        round_number: 1-based private round of the run.
        cohort: Nodes in the sum; their declared enrolment is the divisor.
        total: Sum over the cohort's nodes, int64 [parameters].
    """
    index, phase = config.phase_of(round_number)
    people = sum(config.enrolled[node] for node in cohort)
    program.apply(index, grid_for(config, phase).grid.dequantise(total), people)
