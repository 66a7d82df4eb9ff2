"""Spend per person: composition over the events in which the person was enrolled.

People with the same history share one account, so thousands of enrolled cost as much as their number of
different histories, which overlapping enrolments, newcomers and leavers keep small.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from afml.consortium.run import Budget
from afml.privacy.budget import Balance, balance
from afml.privacy.events import Event, Gaussian, SubsampledGaussian, charged, from_json
from afml.privacy.ple import Ple, ple


@dataclass(frozen=True)
class RunSpend:
    """What one history spent in one run, and what that run had declared."""

    spent: tuple[Event, ...]
    plan: tuple[Event, ...]


@dataclass(frozen=True)
class Account:
    """One history: run -> spend, runs in the order of their first entry."""

    runs: dict[str, RunSpend]

    def events(self) -> list[Event]:
        """Everything spent."""
        return [event for run in self.runs.values() for event in run.spent]

    def run(self, name: str) -> list[Event]:
        """Spent in one run."""
        return list(self.runs[name].spent) if name in self.runs else []

    def balance(self, budget: Budget, run: str | None = None) -> Balance:
        """Against a budget; `run` (default: the last one) is the current run, which counts as spent."""
        current = run if run is not None else next(reversed(self.runs), "")
        return balance(budget, self.run(current), self.charged_elsewhere(current))

    def charged_elsewhere(self, name: str) -> list[list[Event]]:
        """What each other run is charged (see `events.charged`)."""
        return [charged(run.plan, run.spent) for other, run in self.runs.items() if other != name]


def accounts(
    database: sqlite3.Connection,
    tokens: Collection[bytes],
    *,
    plus_enrolment: int | None = None,
    broken: bool = False,
) -> list[Account]:
    """The different histories among people.

    Args:
        database: The ledger.
        tokens: Keyed person ids.
        plus_enrolment: An enrolment that all of them are joining now (it may have no event yet).
        broken: With the noise multiplier that remains if aggregation is broken.
    """
    histories: dict[bytes, set[int]] = {token: set() for token in tokens}
    for person, enrolment in database.execute("SELECT person, enrolment FROM enrolled"):
        if person in histories:
            histories[person].add(enrolment)
    if plus_enrolment is not None:
        for history in histories.values():
            history.add(plus_enrolment)
    by_enrolment = _by_enrolment(database, broken)
    distinct = {frozenset(e for e in history if e in by_enrolment) for history in histories.values()}
    # A history contained in another has spent no more than it.
    widest = [h for h in distinct if not any(h < other for other in distinct)]
    found = [_account(sorted(history), by_enrolment) for history in sorted(widest, key=sorted)]
    return found or [Account({})]


def worst(found: Iterable[Account], delta: float) -> Ple:
    """What the person with the largest spend, by PLE at `delta`, has spent over all runs (composed as if planned)."""
    return max((ple(account.events(), delta) for account in found), key=lambda p: p.sigma)


def worst_balance(found: Iterable[Account], budget: Budget) -> Balance:
    """Where the person who has least left stands."""
    return max((account.balance(budget) for account in found), key=lambda b: b.spent)


_Row = tuple[int, str, str, Event]  # first index, run, plan, composed event


def _by_enrolment(database: sqlite3.Connection, broken: bool) -> dict[int, list[_Row]]:
    query = """
        SELECT enrolment, run, plan, mechanism, broken_multiplier, count(*), min(idx) FROM entries
        WHERE kind = 'spend' GROUP BY enrolment, run, plan, mechanism, broken_multiplier
    """
    found: dict[int, list[_Row]] = {}
    for enrolment, run, plan, mechanism, broken_multiplier, count, first in database.execute(query):
        event = from_json(json.loads(mechanism))
        if broken:
            event = replace(event, noise_multiplier=broken_multiplier)
        found.setdefault(enrolment, []).append((first, run, plan, _times(event, count)))
    return found


def _times(event: Event, count: int) -> Event:
    if isinstance(event, Gaussian):
        return SubsampledGaussian(1.0, event.noise_multiplier, count)
    return replace(event, steps=event.steps * count)


def _account(history: list[int], by_enrolment: dict[int, list[_Row]]) -> Account:
    rows = sorted((row for enrolment in history for row in by_enrolment[enrolment]), key=lambda row: row[0])
    spent: dict[str, list[Event]] = {}
    plans: dict[str, str] = {}
    for _, run, plan, event in rows:
        spent.setdefault(run, []).append(event)
        plans[run] = plan
    return Account(
        {
            run: RunSpend(tuple(events), tuple(from_json(value) for value in json.loads(plans[run])))
            for run, events in spent.items()
        }
    )
