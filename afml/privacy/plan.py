"""The plan of a run: which phase may use which part of the budget, and all that the run may spend.

A target in PLE is shared in its square, because squares of mu add: of two phases with weights 0.9 and 0.1, the
first alone would come to sqrt(0.9) of the target. Each phase is planned with its reserved attempts, which are
paid for like any other. docs/PRIVACY.md, section 4, has the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.privacy.calibrate import BudgetShare, noise_multipliers_for, round_up
from afml.privacy.events import Event
from afml.privacy.noise import broken_event, round_event


@dataclass(frozen=True)
class PhaseShare:
    """One phase whose noise is to be found.

    Attributes:
        name: For messages.
        rounds: Rounds that are meant to be published; reserved attempts come on top.
        sample_rate: Poisson rate in (0, 1].
        weight: Its part of the squared budget, relative to the other phases'.
    """

    name: str
    rounds: int
    sample_rate: float
    weight: float = 1.0


def calibrated(
    shares: Sequence[PhaseShare], *, ple_sigma: float, delta: float, reserve: int, enrolments: int = 1
) -> list[float]:
    """Noise multipliers with which the phases together, reserved attempts included, come to at most `ple_sigma`.

    Args:
        shares: The phases, in order.
        ple_sigma: Target PLE of the whole plan, in sigma.
        delta: PLE holds for every delta' >= delta.
        reserve: Attempts of each phase that may be lost.
        enrolments: Nodes that one person may be enrolled at.

    Returns:
        One noise multiplier z per phase, see `afml.privacy.noise`, rounded up to five significant digits.

    Raises:
        ConfigError: A phase has no round, rate or weight, or the target is out of reach.
    """
    if reserve < 0:
        raise ConfigError(f"attempts cannot be {reserve}", where="reserve")
    for share in shares:
        if share.rounds < 1 or not 0 < share.sample_rate <= 1 or share.weight <= 0:
            raise ConfigError(
                "needs a round, a sample rate in (0, 1] and a positive part of the budget", where=f"phase {share.name}"
            )
    # A round is `enrolments` steps of multiplier z sqrt(enrolments).
    wanted = [BudgetShare((share.rounds + reserve) * enrolments, share.sample_rate, share.weight) for share in shares]
    each = noise_multipliers_for(ple_sigma, wanted, delta=delta)
    return each if enrolments == 1 else [round_up(z / math.sqrt(enrolments)) for z in each]


def planned_events(config: RunConfig, *, own_noise: bool = False) -> tuple[Event, ...]:
    """Everything a run may spend: all rounds of every phase, each phase with its reserved attempts.

    Args:
        config: The run.
        own_noise: Count this node's own noise alone, because nobody else's is trusted to be in the sum.
    """
    count, reserve = broken_event if own_noise else round_event, config.reserve_attempts
    return tuple(count(config, phase, phase.rounds + reserve) for phase in config.phases)
