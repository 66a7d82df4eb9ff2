"""A ledger summed up for people: per enrolment, run and round, what was spent and what is left."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget
from afml.core.bounded import at_least, at_most
from afml.core.errors import IntegrityError
from afml.ledger.checkpoint import parse
from afml.ledger.simulation import simulated
from afml.ledger.snapshot import snapshot
from afml.ledger.spending import accounts, fixed_plan, worst, worst_committed
from afml.ledger.told import iso, told
from afml.ledger.verify_lost import LOST
from afml.privacy.budget import Balance
from afml.privacy.events import Event, from_json
from afml.privacy.ple import Ple, ple

_SHOWN = 0.0005  # less does not change a third decimal


@dataclass(frozen=True)
class RoundLine:
    """One attempt of one round.

    Attributes:
        index: Ledger entry.
        time: UTC, ISO 8601.
        attempt: Its round and number.
        phase: Phase name.
        cohort: Nodes in it.
        mechanism: What was spent, as the guarantee counts it.
        broken_multiplier: Noise multiplier if this node's own update is read.
        epsilon: Recorded spend of these people after it, over all runs; None where none was recorded.
        ple_sigma: Likewise, in sigma.
    """

    index: int
    time: str
    attempt: Attempt
    phase: str
    cohort: tuple[int, ...]
    mechanism: Event
    broken_multiplier: float
    epsilon: float | None
    ple_sigma: float | None


@dataclass(frozen=True)
class RunLine:
    """One run of an enrolment: its own spend, and its rounds. A simulation has no spend that could be told."""

    run: str
    noise: str
    insecure: bool
    own: Ple | None
    broken: Ple | None
    audited: float | None
    rounds: tuple[RoundLine, ...]


@dataclass(frozen=True)
class EnrolmentSummary:
    """People enrolled together.

    Attributes:
        name: First hex digits of the enrolment commitment.
        people: How many.
        total: Spend over all runs of the person among them who spent most, by the filter: later runs may have been
            chosen because of what earlier ones returned. None where somebody took part in a simulation: nothing bounds
            that.
        fixed_plan: The same if all runs had been fixed in advance; smaller.
        broken: As `total`, if aggregation is broken.
        balance: Spent and reserved, of the person who has least left, against the site's lifetime budget; None in a
            simulation.
        runs: In order.
    """

    name: str
    people: int
    total: Ple | None
    fixed_plan: Ple | None
    broken: Ple | None
    balance: Balance | None
    runs: tuple[RunLine, ...]

    @property
    def insecure(self) -> bool:
        """Whether somebody in it took part in a simulation."""
        return self.total is None

    @property
    def told(self) -> str:
        """The standing of these people in one sentence."""
        if self.total is None or self.balance is None:
            return f"{self.people} people; somebody took part in a simulation, and nothing bounds what they have spent"
        spent, kept = self.total, self.balance
        reserved = f"; {at_most(kept.spent)} with what runs have reserved" if kept.spent > spent.sigma + _SHOWN else ""
        return (
            f"{self.people} people have spent {at_most(spent.sigma)} of {at_least(kept.limit)} sigma at most (epsilon "
            f"{at_most(spent.epsilon)} at delta {spent.delta:g}){reserved}; {at_least(kept.left)} is left, "
            "since sigmas add as squares"
        )


@dataclass(frozen=True)
class PlanLine:
    """A plan that was set aside.

    Attributes:
        run: Its name.
        people: How many it would spend of.
        time, expires: UTC, ISO 8601.
        planned: What it comes to by itself, as this site counts it; None in a simulation: nothing bounds that.
        state: "open", or why it is closed.
        approved: Whether a person at this site approved it.
    """

    run: str
    people: int
    time: str
    expires: str
    planned: Ple | None
    state: str
    approved: bool


@dataclass(frozen=True)
class Summary:
    """A whole ledger."""

    origin: str
    entries: int
    checkpoint: str
    insecure: bool
    enrolments: tuple[EnrolmentSummary, ...]
    plans: tuple[PlanLine, ...]
    policies: tuple[Mapping[str, object], ...]
    releases: tuple[Mapping[str, object], ...]
    withdrawals: int
    bodies: tuple[Mapping[str, object], ...]

    @property
    def head(self) -> str:
        """The last signed head, for people who compare it with what others hold; "" where none can be read."""
        try:
            return parse(self.checkpoint).told
        except IntegrityError:
            return ""

    def lines(self, *kinds: str) -> tuple[str, ...]:
        """Entries of some kinds, a line each, in the ledger's order.

        Args:
            kinds: Releases (`release`) and what became of them (`publication`, `reassessment`), queries for shared
                people (`overlap`) and those of others that were answered (`overlap-answer`).
        """
        return tuple(
            f"#{body['index']} {iso(body['time_ms'])}: {told(body)}" for body in self.bodies if body["kind"] in kinds
        )


def summarise(folder: Path) -> Summary:
    """Read and sum up the ledger in `folder`; signatures are `verify`'s business.

    Raises:
        InputError: There is no ledger.
        IntegrityError: It cannot be read.
    """
    try:
        with snapshot(folder) as database:
            return _summarise(database)
    except (sqlite3.DatabaseError, ValueError, KeyError) as error:
        problem = f"cannot be read ({error})"
        raise IntegrityError(problem, where=folder, cure="run afml audit verify") from None


def _summarise(database: sqlite3.Connection) -> Summary:
    bodies = [json.loads(row[0]) for row in database.execute("SELECT body FROM entries ORDER BY idx")]
    audits = {str(b["run"]): float(b["mu_lower"]) for b in bodies if b["kind"] == "audit"}
    note = database.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return Summary(
        origin=str(database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0]),
        entries=len(bodies),
        checkpoint=note[0] if note else "",
        insecure=any(body.get("insecure") for body in bodies),
        enrolments=tuple(_enrolment(database, name, its, audits) for name, its in charged_enrolments(bodies).items()),
        plans=_plans(bodies),
        policies=tuple(body for body in bodies if body["kind"] == "policy"),
        releases=tuple(body for body in bodies if body["kind"] == "release"),
        withdrawals=sum(int(str(body["people"])) for body in bodies if body["kind"] == "withdrawal"),
        bodies=tuple(bodies),
    )


def charged_enrolments(bodies: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Commitment -> the entries that charge an enrolment: spends, and plans of runs that are lost, charged whole."""
    bodies = list(bodies)
    lost = {body["run"] for body in bodies if body["kind"] == "closing" and body["reason"] == LOST}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for body in bodies:
        if body["kind"] == "spend" or (body["kind"] == "reservation" and body["run"] in lost):
            found.setdefault(str(body["enrolment"]), []).append(body)
    return found


def _enrolment(
    database: sqlite3.Connection, name: str, charged: list[Mapping[str, Any]], audits: Mapping[str, float]
) -> EnrolmentSummary:
    query = "SELECT person FROM enrolled JOIN enrolments USING (enrolment) WHERE commitment = ?"
    tokens = [row[0] for row in database.execute(query, (bytes.fromhex(name),))]
    found, broken = accounts(database, tokens), accounts(database, tokens, broken=True)
    lifetime = Budget.model_validate(charged[-1]["lifetime"])
    insecure = simulated(database, found)
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for body in charged:
        if body["kind"] == "spend":
            by_run.setdefault(str(body["run"]), []).append(body)
    return EnrolmentSummary(
        name=name[:12],
        people=int(str(charged[-1]["people"])),
        total=None if insecure else worst(found, lifetime).filter,
        fixed_plan=None if insecure else fixed_plan(found, lifetime.delta),
        broken=None if insecure else worst(broken, lifetime).filter,
        balance=None if insecure else worst_committed(found, lifetime),
        runs=tuple(_run(run, bodies, lifetime.delta, audits.get(run)) for run, bodies in by_run.items()),
    )


def _plans(bodies: list[dict[str, Any]]) -> tuple[PlanLine, ...]:
    closed = {body["run"]: str(body["reason"]) for body in bodies if body["kind"] == "closing"}
    approved = {body["run"] for body in bodies if body["kind"] == "approval"}
    return tuple(
        PlanLine(
            run=body["run"],
            people=int(body["people"]),
            time=iso(body["time_ms"]),
            expires=iso(body["expires_ms"]),
            planned=None
            if body["insecure"]
            else ple([from_json(event) for event in body["plan"]], float(body["lifetime"]["delta"])),
            state=closed.get(body["run"], "open"),
            approved=body["run"] in approved,
        )
        for body in bodies
        if body["kind"] == "reservation"
    )


def _run(run: str, spends: list[Mapping[str, Any]], delta: float, audited: float | None) -> RunLine:
    lines = tuple(_round(body) for body in spends)
    insecure = any(body["insecure"] for body in spends)
    alone = [line.mechanism for line in lines]
    weaker = [replace(line.mechanism, noise_multiplier=line.broken_multiplier) for line in lines]
    return RunLine(
        run=run,
        noise=f"{spends[0]['noise']}{', exact' if spends[0].get('exact_noise') else ''}",
        insecure=insecure,
        own=None if insecure else ple(alone, delta),
        broken=None if insecure else ple(weaker, delta),
        audited=audited,
        rounds=lines,
    )


def _round(body: Mapping[str, Any]) -> RoundLine:
    claim, cohort = body["claim"], body["cohort"]
    assert isinstance(cohort, list)
    return RoundLine(
        index=int(str(body["index"])),
        time=iso(body["time_ms"]),
        attempt=Attempt(int(str(body["round"])), int(str(body["attempt"]))),
        phase=str(body["phase"]),
        cohort=tuple(cohort),
        mechanism=from_json(body["mechanism"]),
        broken_multiplier=float(str(body["broken_multiplier"])),
        epsilon=_claimed(claim, "epsilon"),
        ple_sigma=_claimed(claim, "ple_sigma"),
    )


def _claimed(claim: object, name: str) -> float | None:
    return float(claim[name]) if isinstance(claim, dict) and claim[name] is not None else None
