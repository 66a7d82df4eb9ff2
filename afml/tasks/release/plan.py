"""The phases of a release: one round with everybody each, and what its noise is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from afml.consortium.run import LEAST, Phase, RunConfig
from afml.core.errors import ConfigError
from afml.privacy.noise import grid_for, node_std
from afml.privacy.plan import PhaseShare, calibrated
from afml.training.planning import Plan, Rounds, Terms

CLIP_NORM = 1.0
"""Of every release: values are scaled into it by `Blocks.rows`."""


@dataclass(frozen=True)
class ReleasePhase:
    """One release of a task.

    Attributes:
        name: Of the phase.
        parameters: P, length of its vector.
        weight: Its part of the squared budget, relative to the other phases'.
    """

    name: str
    parameters: int
    weight: float = 1.0


def release_plan(phases: Sequence[ReleasePhase], rounds: Rounds, terms: Terms) -> Plan:
    """The plan of a task whose phases are one round each, in which everybody takes part.

    A reserved attempt of a phase is one more release of it, so it is dear here: with one, the noise is sqrt(2) times
    that without any.

    Args:
        phases: In order.
        rounds: What was asked for; a release takes none of it, and its number of rounds is one a phase.
        terms: What the run may cost.

    Raises:
        ConfigError: A number was asked for that a release sets itself.
    """
    own = {"epochs": rounds.epochs, "sample_rate": rounds.sample_rate, "clip_norm": rounds.clip_norm}
    own["learning_rate"] = rounds.learning_rate
    given = [name for name, value in own.items() if value not in (None, 1.0)] + sorted(rounds.further)
    if given:  # 1 is what a release has
        option = f"--{given[0].replace('_', '-')}"
        problem = "a release has no such number: everybody takes part once, with a declared bound"
        raise ConfigError(problem, where=option, cure="leave it out")
    shares = [PhaseShare(phase.name, 1, 1.0, phase.weight) for phase in phases]
    multipliers = calibrated(
        shares, ple_sigma=terms.ple_sigma, delta=terms.delta, reserve=terms.reserve_attempts,
        enrolments=terms.max_enrolments or 1,
    )  # fmt: skip
    for phase, multiplier in zip(phases, multipliers, strict=True):
        if multiplier > 1 / LEAST:
            problem = f"release {phase.name} would have noise of {multiplier:g}, above {1 / LEAST:g}"
            raise ConfigError(problem, where="settings of the task", cure="give it a larger share, or a larger --ple")
    planned = (
        Phase(
            name=phase.name, rounds=1, sample_rate=1.0, clip_norm=CLIP_NORM, noise_multiplier=multiplier,
            learning_rate=1.0, parameters=phase.parameters,
        )
        for phase, multiplier in zip(phases, multipliers, strict=True)
    )  # fmt: skip
    return Plan(phases=tuple(planned))


def require_release(run: RunConfig, phases: Sequence[ReleasePhase]) -> None:
    """Refuse a run whose phases are not these releases.

    Raises:
        ConfigError: One line.
    """
    wanted = [(phase.name, phase.parameters) for phase in phases]
    found = [(phase.name, phase.parameters) for phase in run.phases]
    problem = ""
    if found != wanted:
        said, asked = (", ".join(f"{name} of {length}" for name, length in pairs) for pairs in (found, wanted))
        problem = f"the run plans {said or 'no phase'}; its settings mean {asked}"
    elif any((phase.rounds, phase.sample_rate, phase.clip_norm) != (1, 1.0, CLIP_NORM) for phase in run.phases):
        problem = f"a release is one round of everybody with clip norm {CLIP_NORM:g}"
    elif run.public_part or any(phase.needs_public for phase in run.phases):
        problem = "this task has no public part"
    if problem:
        raise ConfigError(problem, where=f"run {run.run}", cure="have the coordinator run `afml configure` again")


def sum_std(run: RunConfig, phase: int) -> float:
    """Standard deviation of the noise of each coordinate of a cohort's sum, rounding to the grid included, at most.

    It is that of all nodes of the run; a smaller cohort's sum carries less. Rounding a value at random to steps of
    h has a variance of h^2 / 4 at most, whatever the value.

    Args:
        run: The run.
        phase: Index of the phase.
    """
    planned = run.phases[phase]
    step = grid_for(run, planned).grid.step
    return math.sqrt(len(run.enrolled) * (node_std(run, planned) ** 2 + step**2 / 4))
