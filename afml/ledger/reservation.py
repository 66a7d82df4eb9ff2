"""What a run may spend here, set aside before its first round: the whole plan, under the limits in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from afml.consortium.run import Budget, RunConfig
from afml.privacy.events import Event, from_json
from afml.privacy.plan import planned_events

DAY_MS = 86_400_000

Reason = Literal["finished", "failed", "left", "expired", "by-hand", "lost"]
"""Why a run is closed at a site: its model is saved; the aggregator said so; this node left; its time is
up; somebody decided; it was open in a backup that was put back, and is charged whole, since what else was
spent in it nobody can say."""


@dataclass(frozen=True)
class Limits:
    """What people may spend over all runs.

    Attributes:
        run: The budget that the run names.
        lifetime: The site's own, at the delta that the site accounts at.
    """

    run: Budget
    lifetime: Budget

    def to_json(self) -> dict[str, object]:
        """Fields of the entries that were made under these limits."""
        return {
            "budget": self.run.model_dump(mode="json", exclude_none=True),
            "lifetime": self.lifetime.model_dump(mode="json", exclude_none=True),
        }


@dataclass(frozen=True)
class Reservation:
    """A plan to set aside.

    Attributes:
        run: Run name.
        config_digest: Hex digest of the signed run configuration.
        plan: Everything the run may spend, as this site counts it, reserve included.
        limits: In force when it is made.
        days: How long it lasts, pauses included.
        own_noise: The site counts its own noise alone: it trusts too few of the others.
        insecure: Randomness comes from a seed (simulation).
        policy: Digest of the site's policy, hex; "" where nobody keeps one (tests, benchmarks).
        exact_noise: The run's noise is proven to be that of the plan (docs/design/noise.md).
        code: Package -> digest of its source, as the node says that it runs it; empty where nothing was said.
    """

    run: str
    config_digest: str
    plan: tuple[Event, ...]
    limits: Limits
    days: float
    own_noise: bool = False
    insecure: bool = False
    policy: str = ""
    exact_noise: bool = False
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """For messages."""
        return f"run {self.run}"

    def to_json(self) -> dict[str, object]:
        """The fields of the ledger entry that come from the reservation itself."""
        return {
            "kind": "reservation",
            "run": self.run,
            "config_digest": self.config_digest,
            "plan": [event.to_json() for event in self.plan],
            "own_noise": self.own_noise,
            "insecure": self.insecure,
            "policy": self.policy,
            **({"exact_noise": True} if self.exact_noise else {}),
            **({"code": dict(self.code)} if self.code else {}),
            **self.limits.to_json(),
        }


def reservation_for(
    config: RunConfig, limits: Limits, *, days: float, own_noise: bool = False, policy: str = ""
) -> Reservation:
    """The whole plan of a run as one site counts it; arguments as of `Reservation`."""
    return Reservation(
        run=config.run,
        config_digest=config.digest().hex(),
        plan=planned_events(config, own_noise=own_noise),
        limits=limits,
        days=days,
        own_noise=own_noise,
        insecure=config.seed is not None,
        policy=policy,
        exact_noise=config.exact_noise,
    )


@dataclass(frozen=True)
class Held:
    """A reservation as it stands in the ledger.

    Attributes:
        config_digest: Hex digest of the run configuration.
        enrolment: Number of the enrolment it was made for.
        plan: As the site counts it.
        expires_ms: Unix milliseconds, by the clock of the ledger.
        own_noise, insecure: As of `Reservation`.
        closed: Why the run is closed; None while it may go on.
    """

    config_digest: str
    enrolment: int
    plan: tuple[Event, ...]
    expires_ms: int
    own_noise: bool
    insecure: bool
    closed: Reason | None


def held(body: Mapping[str, Any], enrolment: int, closed: Reason | None) -> Held:
    """Read a reservation's entry."""
    return Held(
        config_digest=str(body["config_digest"]),
        enrolment=enrolment,
        plan=tuple(from_json(event) for event in body["plan"]),
        expires_ms=int(body["expires_ms"]),
        own_noise=bool(body["own_noise"]),
        insecure=bool(body["insecure"]),
        closed=closed,
    )
