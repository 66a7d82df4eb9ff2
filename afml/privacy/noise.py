"""Who adds how much noise, on which integer grid, and what each promise counts.

Clip norm C, noise multiplier z of the phase, t = quorum - max_colluding honest nodes at least, and m =
`enrolments_per_person`: one person may be enrolled at so many nodes, and moves the sum by m C at most.

    mode         each node adds       the honest nodes' sum carries         counted, m times    if aggregation is broken
    distributed  z m C / sqrt(t)      >= z m C                              z sqrt(m)           z m / sqrt(t)
    local        z sqrt(m) C          >= z sqrt(m) C from every node alone  z sqrt(m)           z sqrt(m)

The m nodes draw their batches independently. In local mode a round is therefore m mechanisms of noise z sqrt(m) C
about somebody who is at m nodes, whatever is read; in distributed mode noise of variance (z m C)^2 is the sum of m
independent ones of variance (z sqrt(m) C)^2, so the sum is computed from m such mechanisms. Both are counted as
those m, each with multiplier z sqrt(m): for full batches that is one mechanism of multiplier z.

"Broken" means that somebody reads nodes' own updates: then only each node's noise protects its
people. docs/design/noise.md has the argument and the limits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from afml.consortium.run import Phase, RunConfig
from afml.core.errors import ConfigError
from afml.privacy.events import Event, gaussian_rounds
from crypto.public.grid import Grid

TAIL_SIGMAS = 12.0
#: Least noise of one node in grid steps; the smoothing error is then below 1e-137.
STEPS_PER_SIGMA = 4.0
NEGLIGIBLE = 1e-6  # of the budget's delta, over all rounds


def honest_nodes(config: RunConfig) -> int:
    """Fewest honest nodes in any cohort that may go ahead: quorum - max_colluding."""
    return config.quorum - config.max_colluding


def node_std(config: RunConfig, phase: Phase) -> float:
    """Standard deviation of the noise that one node adds to each coordinate of its clipped sum."""
    full, nodes = phase.noise_multiplier * phase.clip_norm, config.enrolments_per_person
    return full * math.sqrt(nodes) if config.noise == "local" else full * nodes / math.sqrt(honest_nodes(config))


def effective_multiplier(config: RunConfig, phase: Phase) -> float:
    """Noise multiplier that the accounted guarantee counts at each node of a person: z sqrt(m) in both modes.

    Distributed: against everybody but the aggregator with up to `max_colluding` nodes *and* the
    others' pads, the sum of the remaining honest nodes carries at least z m C. Local: each node's own.
    """
    return phase.noise_multiplier * math.sqrt(config.enrolments_per_person)


def broken_multiplier(config: RunConfig, phase: Phase) -> float:
    """Noise multiplier left to a node's people when its own update is read: its own noise over C."""
    return node_std(config, phase) / phase.clip_norm


def require_cohort(config: RunConfig, cohort_size: int) -> None:
    """A node's last look before it adds noise: fewer nodes than the quorum would void the sum's noise.

    Raises:
        ConfigError: The cohort is below the quorum.
    """
    if cohort_size < config.quorum:
        raise ConfigError(
            f"a cohort of {cohort_size} is below the quorum of {config.quorum}",
            where=f"run {config.run}",
            cure="wait for more institutions; the noise shares would not add up",
        )


def round_event(config: RunConfig, phase: Phase, steps: int = 1) -> Event:
    """The event of `steps` rounds of a phase, as accounted: a step for every node that a person may be enrolled at."""
    return _event(config, phase, effective_multiplier(config, phase), steps)


def broken_event(config: RunConfig, phase: Phase, steps: int = 1) -> Event:
    """The event of `steps` rounds of a phase, if aggregation is broken."""
    return _event(config, phase, broken_multiplier(config, phase), steps)


def _event(config: RunConfig, phase: Phase, multiplier: float, steps: int) -> Event:
    return gaussian_rounds(phase.sample_rate, multiplier, steps * config.enrolments_per_person)


class GridChoice(NamedTuple):
    """A grid, and what rounding to it costs.

    Attributes:
        grid: Step and bits, equal at all nodes.
        added_delta: Bound on the total variation that rounding and range add in one round; the
            guarantee's delta grows by at most (1 + e^epsilon) times this per round.
    """

    grid: Grid
    added_delta: float


def grid_for(config: RunConfig, phase: Phase, parameters: int = 10_000_000) -> GridChoice:
    """The public integer grid of a phase: wide enough for every sum, fine enough for the noise.

    The range of `bits` holds the clipped sum of the largest possible batch (everybody enrolled at
    the largest node, all clipped to C and aligned) and TAIL_SIGMAS of noise. Only public numbers
    enter, so all nodes and the aggregator agree on it.

    Args:
        config: The run.
        phase: One of its phases.
        parameters: Coordinates of an update, for the union bound of `added_delta`.

    Raises:
        ConfigError: Distributed noise and a step above a quarter of the node's noise; the message
            names the bits that would do.
    """
    std = node_std(config, phase)
    largest = max(config.enrolled.values()) * phase.clip_norm + TAIL_SIGMAS * std
    step = largest / (2 ** (config.bits - 1) - 1)
    tail = math.erfc(TAIL_SIGMAS / math.sqrt(2)) * parameters * len(config.enrolled)
    if config.noise == "local":
        # Rounding after a node's full noise is post-processing, and so is what happens out of range.
        return GridChoice(Grid(step=step, bits=config.bits), 0.0)
    if step * STEPS_PER_SIGMA > std:
        needed = math.ceil(math.log2(largest * STEPS_PER_SIGMA / std + 1)) + 1
        raise ConfigError(
            f"phase {phase.name}: {config.bits} bits give a grid step of {step:.3g}, "
            f"but one node's noise is {std:.3g}, less than {STEPS_PER_SIGMA:.0f} steps",
            where=f"run {config.run}",
            cure=f"use bits = {needed}, more noise, fewer people per node, or noise = 'local'",
        )
    # Poisson summation: each node's rounding differs from independent noise by the alias terms of its
    # Gaussian, 2 exp(-2 pi^2 (std / step)^2) to leading order; the others are smaller by exp(-900).
    smoothing = 4 * math.exp(-2 * (math.pi * std / step) ** 2) * parameters * len(config.enrolled)
    added = smoothing + tail
    if added * config.rounds > NEGLIGIBLE * config.budget.delta:
        raise ConfigError(
            f"phase {phase.name}: rounding and range add {added:.1e} to delta in each round",
            where=f"run {config.run}",
            cure="use more bits or a larger delta",
        )
    return GridChoice(Grid(step=step, bits=config.bits), added)


__all__ = [
    "GridChoice",
    "broken_event",
    "broken_multiplier",
    "effective_multiplier",
    "grid_for",
    "honest_nodes",
    "node_std",
    "require_cohort",
    "round_event",
]
