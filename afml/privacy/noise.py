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

With exact noise (`RunConfig.exact_noise`) C is the `sensitivity`: a little more than the clip norm, for what float64
can add to what one person changes.

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
from crypto.public.params import MOST_BITS
from crypto.public.rotation import block_of

ALARM = 1e-6
"""Chance that anything of an honest run reaches the edge of its grid's range."""
EDGE = 7 / 8
"""Of half the range: a sum beyond it is refused, since one just beyond the range comes back near its other end."""
#: Least noise of one node in grid steps; the smoothing error is then below 1e-68 for a coordinate and node.
STEPS_PER_SIGMA = 4.0
UNIT = 2.0**-53
"""Unit roundoff of float64."""
MOST_SLACK = 0.01
NEGLIGIBLE = 1e-6  # of the budget's delta, over all rounds
_UNDECLARED = 10_000_000  # coordinates that an update of an undeclared length may have


def honest_nodes(config: RunConfig) -> int:
    """Fewest honest nodes in any cohort that may go ahead: quorum - max_colluding."""
    return config.quorum - config.max_colluding


def node_std(config: RunConfig, phase: Phase) -> float:
    """Standard deviation of the noise that one node adds to each coordinate of its clipped sum."""
    full, nodes = phase.noise_multiplier * sensitivity(config, phase), config.enrolments_per_person
    return full * math.sqrt(nodes) if config.noise == "local" else full * nodes / math.sqrt(honest_nodes(config))


def sensitivity(config: RunConfig, phase: Phase) -> float:
    """What the noise is made for: the clip norm, and with exact noise whatever float64 may add to it at worst."""
    return phase.clip_norm * (1 + slack(config, phase) if config.exact_noise else 1.0)


def slack(config: RunConfig, phase: Phase) -> float:
    """Bound on how much more than the clip norm one person changes a node's turned sum by, over the clip norm.

    For norms, sums and the rotation in float64, whatever the order of additions: P + 4 N^2 + 300 N + 100 roundings of
    P coordinates and the N people of the largest institution (docs/design/noise.md, Sensitivity).
    """
    people = float(max(config.enrolled.values()))
    return 1.01 * UNIT * (_counted(phase) + 4 * people**2 + 300 * people + 100)


def effective_multiplier(config: RunConfig, phase: Phase) -> float:
    """Noise multiplier that the accounted guarantee counts at each node of a person: z sqrt(m) in both modes.

    Distributed: against everybody but the aggregator with up to `max_colluding` nodes *and* the
    others' pads, the sum of the remaining honest nodes carries at least z m C. Local: each node's own.
    """
    return phase.noise_multiplier * math.sqrt(config.enrolments_per_person)


def broken_multiplier(config: RunConfig, phase: Phase) -> float:
    """Noise multiplier left to a node's people when its own update is read: its own noise over C."""
    return node_std(config, phase) / sensitivity(config, phase)


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
        grid: Its step, equal at all nodes and in all rounds of the phase; `round_grid` also turns.
        edge: Grid steps that no coordinate of an honest sum reaches, but for ALARM.
        added_delta: Bound on the total variation that rounding adds in one round; the guarantee's delta grows by at
            most (1 + e^epsilon) times this per round.
    """

    grid: Grid
    edge: int
    added_delta: float


def grid_for(config: RunConfig, phase: Phase) -> GridChoice:
    """The public integer grid of a phase: wide enough for its sums, fine enough for the noise.

    Once turned, a coordinate of a sum is sub-Gaussian with the variance of all nodes' noise and rounding plus
    (norm of the clipped sum)^2 / block (`crypto.public.rotation`); the norm is at most that of the largest batch, all
    clipped to C and aligned. The range holds so many sigmas of it that ALARM is left for the whole run. Only public
    numbers enter, so all nodes and the aggregator agree on it; docs/design/bits.md has the argument.

    Args:
        config: The run.
        phase: One of its phases.

    Raises:
        ConfigError: Distributed noise and a step above a quarter of the node's noise, or bits that hold no sum; the
            message names the bits that would do. Or exact noise of so many people that float64 may add much to what
            one of them changes.
    """
    if config.exact_noise and slack(config, phase) > MOST_SLACK:
        raise ConfigError(
            f"phase {phase.name}: {max(config.enrolled.values())} people or {_counted(phase)} parameters are too many "
            "to prove that one person changes a float64 sum by little more than the clip norm",
            where=f"run {config.run}",
            cure="make it without `afml configure --exact-noise`",
        )
    std, step = node_std(config, phase), _step(config, phase, config.bits)
    fine = step * STEPS_PER_SIGMA <= std * (1 + 1e-12)
    if not (fine if config.noise == "distributed" else math.isfinite(step)):
        raise ConfigError(
            f"phase {phase.name}: {config.bits} bits give a grid step of {step:.3g}, "
            f"but one node's noise is {std:.3g}, less than {STEPS_PER_SIGMA:.0f} steps",
            where=f"run {config.run}",
            cure=f"use bits = {fewest_bits(config, phase)}, more noise, or fewer people",
        )
    grid, edge = Grid(step), int(EDGE * 2 ** (config.bits - 1))
    if config.noise == "local":  # rounding after a node's full noise is post-processing
        return GridChoice(grid, edge, 0.0)
    # The sum of K roundings is a rounding of the sum but for a factor within 1 +- kappa, a coordinate, with
    # kappa = (1 + 2 exp(-pi^2 (std / step)^2) + ...)^K - 1 (docs/design/noise.md, Rounding before the sum).
    added = 3 * math.exp(-((math.pi * std / step) ** 2)) * _counted(phase) * len(config.enrolled)
    if added * config.rounds > NEGLIGIBLE * config.budget.delta:
        raise ConfigError(
            f"phase {phase.name}: rounding adds {added:.1e} to delta in each round",
            where=f"run {config.run}",
            cure="use a larger delta",
        )
    return GridChoice(grid, edge, added)


def round_grid(config: RunConfig, round_number: int) -> Grid:
    """The grid of a round: that of its phase, turned by the rotation of run and round.

    The run goes into it by its digest, which no other run has; a seeded one, a simulation, by its seed.

    Every attempt of a round has the same one, and what is turned does not depend on it: the digest stands before the
    first batch is drawn. A simulation ends with the same bits whatever else of its configuration is worded otherwise.
    """
    _, phase = config.phase_of(round_number)
    whose = config.digest() if config.seed is None else f"simulation {config.seed}".encode()
    return grid_for(config, phase).grid.turned(whose + round_number.to_bytes(8, "little"))


def fewest_bits(config: RunConfig, phase: Phase) -> int:
    """Bits of a coordinate of the sum at which the grid's step is a quarter of one node's noise.

    Raises:
        ConfigError: No codec has so many.
    """
    std = node_std(config, phase)
    for bits in range(2, MOST_BITS + 1):
        if _step(config, phase, bits) * STEPS_PER_SIGMA <= std:
            return bits
    raise ConfigError(
        f"phase {phase.name}: {MOST_BITS} bits do not hold its sums at a quarter of one node's noise of {std:.3g}",
        where=f"run {config.run}",
        cure="use more noise",
    )


def with_fewest_bits(config: RunConfig) -> RunConfig:
    """The run with as many bits as its neediest phase needs: one codec serves all phases.

    Raises:
        ConfigError: No codec has so many.
    """
    return config.model_copy(update={"bits": max(fewest_bits(config, phase) for phase in config.phases)})


def _step(config: RunConfig, phase: Phase, bits: int) -> float:
    """The finest step whose range of 2^bits holds a phase's sums, in units of the update; inf where none does.

    Half the range is r = 2^(bits-1) steps. EDGE r = t sqrt(v + K step^2 / 4), where t sigmas leave ALARM / 2 and every
    one of K nodes rounds within an interval of one step.
    """
    nodes, block = len(config.enrolled), block_of(phase.parameters)
    aligned = phase.clip_norm * _largest_batch(config, phase)
    variance = nodes * node_std(config, phase) ** 2 + aligned**2 / block
    t = _sigmas(_coordinates(config)) / EDGE
    rest = 4.0 ** (bits - 1) - t**2 * nodes / 4  # r^2 and rounding in steps^2
    return t * math.sqrt(variance / rest) if rest > 0 else math.inf


def _largest_batch(config: RunConfig, phase: Phase) -> float:
    """People in any sum of the phase, enrolments counted one by one, but for ALARM / 2 (Bernstein's inequality)."""
    everybody, rate = sum(config.enrolled.values()), phase.sample_rate
    logs = math.log(2 * _attempts(config) / ALARM)
    above = logs / 3 + math.sqrt(logs**2 / 9 + 2 * logs * everybody * rate * (1 - rate))
    return min(float(everybody), everybody * rate + above)


def _attempts(config: RunConfig) -> int:
    return config.rounds + config.reserve_attempts * len(config.phases)


def _coordinates(config: RunConfig) -> int:
    """Of all sums of the run."""
    return sum(_counted(phase) * (phase.rounds + config.reserve_attempts) for phase in config.phases)


def _counted(phase: Phase) -> int:
    """Coordinates of an update in a union bound; many where the run does not say."""
    return phase.parameters or _UNDECLARED


def _sigmas(coordinates: int) -> float:
    """t with 2 exp(-t^2 / 2) = ALARM / 2 over so many sub-Gaussian coordinates."""
    return math.sqrt(2 * math.log(4 * coordinates / ALARM))


__all__ = [
    "GridChoice",
    "broken_event",
    "broken_multiplier",
    "effective_multiplier",
    "fewest_bits",
    "grid_for",
    "honest_nodes",
    "node_std",
    "require_cohort",
    "round_event",
    "round_grid",
    "sensitivity",
    "slack",
    "with_fewest_bits",
]
