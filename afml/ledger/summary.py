"""A ledger summed up for people: per enrolment, run and round, what was spent and what is left."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget
from afml.core.errors import IntegrityError
from afml.ledger.snapshot import snapshot
from afml.ledger.spending import accounts, worst, worst_balance
from afml.privacy.budget import Balance
from afml.privacy.events import Event, from_json
from afml.privacy.ple import Ple, ple

DEFAULT_DELTA = 1e-5


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
    """One run of an enrolment: its own spend, and its rounds."""

    run: str
    noise: str
    insecure: bool
    own: Ple
    broken: Ple
    audited: float | None
    rounds: tuple[RoundLine, ...]


@dataclass(frozen=True)
class EnrolmentSummary:
    """People enrolled together.

    Attributes:
        name: First hex digits of the enrolment commitment.
        people: How many.
        total: Spend over all runs of the person among them who spent most (composed as if planned).
        broken: The same if aggregation is broken.
        balance: Against the last recorded budget; None where there is none.
        runs: In order.
    """

    name: str
    people: int
    total: Ple
    broken: Ple
    balance: Balance | None
    runs: tuple[RunLine, ...]


@dataclass(frozen=True)
class Summary:
    """A whole ledger."""

    origin: str
    entries: int
    checkpoint: str
    insecure: bool
    enrolments: tuple[EnrolmentSummary, ...]
    releases: tuple[Mapping[str, object], ...]
    withdrawals: int
    bodies: tuple[Mapping[str, object], ...]


def iso(time_ms: object) -> str:
    """UTC time of an entry, to the second."""
    return datetime.fromtimestamp(int(str(time_ms)) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    by_enrolment: dict[str, list[dict[str, object]]] = {}
    for body in bodies:
        if body["kind"] == "spend":
            by_enrolment.setdefault(str(body["enrolment"]), []).append(body)
    audits = {str(b["run"]): float(b["mu_lower"]) for b in bodies if b["kind"] == "audit"}
    note = database.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return Summary(
        origin=str(database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0]),
        entries=len(bodies),
        checkpoint=note[0] if note else "",
        insecure=any(body.get("insecure") for body in bodies),
        enrolments=tuple(_enrolment(database, name, spends, audits) for name, spends in by_enrolment.items()),
        releases=tuple(body for body in bodies if body["kind"] == "release"),
        withdrawals=sum(body["kind"] == "withdrawal" for body in bodies),
        bodies=tuple(bodies),
    )


def _enrolment(
    database: sqlite3.Connection, name: str, spends: list[dict[str, object]], audits: Mapping[str, float]
) -> EnrolmentSummary:
    query = "SELECT person FROM enrolled JOIN enrolments USING (enrolment) WHERE commitment = ?"
    tokens = [row[0] for row in database.execute(query, (bytes.fromhex(name),))]
    found, broken = accounts(database, tokens), accounts(database, tokens, broken=True)
    recorded = spends[-1]["budget"]
    budget = Budget.model_validate(recorded) if recorded else None
    delta = budget.delta if budget else DEFAULT_DELTA
    by_run: dict[str, list[dict[str, object]]] = {}
    for body in spends:
        by_run.setdefault(str(body["run"]), []).append(body)
    return EnrolmentSummary(
        name=name[:12],
        people=int(str(spends[-1]["people"])),
        total=worst(found, delta),
        broken=worst(broken, delta),
        balance=worst_balance(found, budget) if budget else None,
        runs=tuple(_run(run, bodies, delta, audits.get(run)) for run, bodies in by_run.items()),
    )


def _run(run: str, spends: list[dict[str, object]], delta: float, audited: float | None) -> RunLine:
    lines = tuple(_round(body) for body in spends)
    alone = [line.mechanism for line in lines]
    weaker = [replace(line.mechanism, noise_multiplier=line.broken_multiplier) for line in lines]
    return RunLine(
        run=run,
        noise=str(spends[0]["noise"]),
        insecure=any(body["insecure"] for body in spends),
        own=ple(alone, delta),
        broken=ple(weaker, delta),
        audited=audited,
        rounds=lines,
    )


def _round(body: dict[str, object]) -> RoundLine:
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
        epsilon=float(claim["epsilon"]) if isinstance(claim, dict) else None,
        ple_sigma=float(claim["ple_sigma"]) if isinstance(claim, dict) else None,
    )
