"""What stands in a ledger: spends, reservations, releases, withdrawals, audits and more; canonical JSON, one leaf each.

Bodies hold public run facts and counts. People appear only as a keyed commitment, so that a ledger
can be handed to an auditor; who they are stays in node-local tables (see `people`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from afml.consortium.attempt import Attempt
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.privacy import noise
from afml.privacy.events import Event, Gaussian, from_json
from afml.privacy.plan import planned_events

VERSION = 2


@dataclass(frozen=True)
class Spend:
    """One attempt of one round: what a node's people pay when their update leaves.

    Attributes:
        run: Run name.
        config_digest: Hex digest of the signed run configuration.
        attempt: Its round and number; every attempt is a new batch with new noise, and paid for.
        phase: Phase name.
        cohort: Nodes in this attempt, ascending.
        noise: "distributed" or "local".
        mechanism: One step, with the noise multiplier that this site counts.
        broken_multiplier: Noise multiplier that remains if this node's own update is read.
        clip_norm: L2 clip norm per person, in units of the update.
        plan: Everything the run may spend, reserve included; the same in each of its entries.
        insecure: Randomness came from a seed (simulation).
        published_multiplier: Noise multiplier of the run's phase; by default the mechanism's. They differ where the
            site trusts too few institutions, and counts its own noise alone.
        enrolments_per_person: Nodes that one person may be enrolled at; the mechanism has a step for each.
        exact_noise: The run's noise is proven to be that of the mechanism (docs/design/noise.md).
    """

    run: str
    config_digest: str
    attempt: Attempt
    phase: str
    cohort: tuple[int, ...]
    noise: Literal["distributed", "local"]
    mechanism: Event
    broken_multiplier: float
    clip_norm: float
    plan: tuple[Event, ...] = field(default=())
    insecure: bool = False
    published_multiplier: float | None = None
    enrolments_per_person: int = 1
    exact_noise: bool = False

    def __post_init__(self) -> None:
        if not self.run or min(self.attempt) < 1:
            raise InputError("a spend needs a run, a round and an attempt, counted from 1", where="spend")
        steps = 1 if isinstance(self.mechanism, Gaussian) else self.mechanism.steps
        if steps != self.enrolments_per_person:
            raise InputError("a spend is one step of one mechanism at each node of a person", where=self.where)
        if list(self.cohort) != sorted(set(self.cohort)):
            raise InputError("cohort must list each node once, ascending", where=self.where)

    @property
    def where(self) -> str:
        """For messages."""
        return f"run {self.run}, {self.attempt}"

    def to_json(self) -> dict[str, object]:
        """The fields of the ledger entry that come from the spend itself."""
        return {
            "kind": "spend",
            "run": self.run,
            "config_digest": self.config_digest,
            "round": self.attempt.round,
            "attempt": self.attempt.number,
            "phase": self.phase,
            "cohort": list(self.cohort),
            "noise": self.noise,
            "mechanism": self.mechanism.to_json(),
            "published_multiplier": self.published_multiplier or self.mechanism.noise_multiplier,
            "broken_multiplier": self.broken_multiplier,
            "clip_norm": self.clip_norm,
            "plan": [event.to_json() for event in self.plan],
            "insecure": self.insecure,
            "enrolments_per_person": self.enrolments_per_person,
            **({"exact_noise": True} if self.exact_noise else {}),
        }


def spend_for(config: RunConfig, attempt: Attempt, cohort: Sequence[int], *, own_noise: bool = False) -> Spend:
    """The spend of one attempt of a run.

    Args:
        config: The run.
        attempt: Its round and number.
        cohort: Nodes in it.
        own_noise: This node counts its own noise alone (see `planned_events`).

    Raises:
        ConfigError: The cohort is below the quorum, or holds nodes that are not enrolled.
    """
    noise.require_cohort(config, len(set(cohort)))
    if strangers := sorted(set(cohort) - set(config.nodes)):
        raise ConfigError(f"nodes {strangers} are not enrolled", where=f"run {config.run}")
    _, phase = config.phase_of(attempt.round)
    return Spend(
        run=config.run,
        config_digest=config.digest().hex(),
        attempt=attempt,
        phase=phase.name,
        cohort=tuple(sorted(cohort)),
        noise=config.noise,
        mechanism=(noise.broken_event if own_noise else noise.round_event)(config, phase),
        broken_multiplier=noise.broken_multiplier(config, phase),
        clip_norm=phase.clip_norm,
        plan=planned_events(config, own_noise=own_noise),
        insecure=config.seed is not None,
        published_multiplier=phase.noise_multiplier,
        enrolments_per_person=config.enrolments_per_person,
        exact_noise=config.exact_noise,
    )


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        index: From 0.
        kind: See docs/design/ledger.md.
        body: The canonical JSON, parsed.
        leaf: Its leaf hash, hex.
    """

    index: int
    kind: str
    body: dict[str, object]
    leaf: str

    @property
    def mechanism(self) -> Event:
        """The event of a spend.

        Raises:
            InputError: Not a spend, or an unknown mechanism.
        """
        return from_json(self.body.get("mechanism"))
