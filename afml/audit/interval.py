"""What an audit of whole runs ends in: the interval `[audited, accounted]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from afml.consortium.run import Phase, RunConfig
from afml.core.bounded import at_least, at_most
from afml.core.errors import IntegrityError
from afml.privacy.events import Event
from afml.privacy.noise import round_event
from afml.privacy.ple import ple


@dataclass(frozen=True)
class Bound:
    """A lower bound beside what is accounted.

    Attributes:
        mu_lower: mu of the run is at least this, in sigma, with `confidence`.
        mu_attacked: mu accounted for the rounds that were attacked, in sigma.
        mu_accounted: PLE accounted for all rounds of the run, in sigma.
        mu_ceiling: What `mu_lower` would be had every guess been right. Not above `mu_attacked`: the audit
            could not fail, more canaries are needed.
        confidence: Of each bound alone.
    """

    mu_lower: float
    mu_attacked: float
    mu_accounted: float
    mu_ceiling: float
    confidence: float

    instrument: ClassVar[str]
    """As ledgers name it."""

    @property
    def interval(self) -> tuple[float, float]:
        """[audited, accounted] in sigma, for the whole run."""
        return self.mu_lower, self.mu_accounted

    @property
    def sound(self) -> bool:
        """Whether the accounting of the attacked rounds withstood the attack."""
        return self.mu_lower <= self.mu_attacked

    def require_sound(self) -> None:
        """Refuse accounting that the attack has refuted.

        Raises:
            IntegrityError: The audited bound is above the accounted value.
        """
        if not self.sound:
            raise IntegrityError(
                f"the attack establishes {at_least(self.mu_lower)} sigma, {at_most(self.mu_attacked)} are accounted",
                where=f"audit by {self.instrument}",
                cure="do not train with this installation; its mechanism or its accounting is broken",
            )


def accounted_mu(config: RunConfig, phases: Sequence[Phase]) -> float:
    """PLE of all rounds of some phases of a run at its budget's delta, in sigma."""
    events: list[Event] = [round_event(config, phase, phase.rounds) for phase in phases]
    return ple(events, config.budget.delta).sigma
