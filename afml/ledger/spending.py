"""Spend per person: composition over the events in which the person was enrolled, and what is reserved beside it.

People with the same history share one account, so thousands of enrolled cost as much as their number of
different histories, which overlapping enrolments, newcomers and leavers keep small.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from afml.consortium.run import Budget
from afml.ledger.entries import Spend
from afml.ledger.people import accounts_by_name
from afml.ledger.schema import LOST
from afml.privacy.budget import Balance, balance
from afml.privacy.events import Event, Gaussian, SubsampledGaussian, charged, from_json, reserved
from afml.privacy.ple import Ple, ple

_SPENDS = """
    SELECT idx, leaf, enrolment, run, plan, mechanism, broken_multiplier FROM entries NOT INDEXED
    WHERE idx > ? AND kind = 'spend' ORDER BY idx
"""


class _Steps(NamedTuple):
    """Steps that are told apart: of one mechanism, by the people of one enrolment, in one run."""

    enrolment: int
    run: str
    plan: str
    mechanism: str
    multiplier: float


@dataclass(frozen=True)
class RunSpend:
    """What one history spent in one run, and what that run had declared.

    Attributes:
        spent: Events of its attempts; of a run that is lost its whole plan, since nobody can say what else was spent.
        plan: All that it may spend.
        budget: That the run names, while its plan is reserved; None once it is closed.
    """

    spent: tuple[Event, ...]
    plan: tuple[Event, ...]
    budget: Budget | None = None


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

    def plus(self, name: str, plan: tuple[Event, ...], step: Event) -> Account:
        """The same history after one more step of a run."""
        before = self.runs.get(name, RunSpend((), plan))
        return Account({**self.runs, name: replace(before, spent=(*before.spent, step))})

    def balance(self, budget: Budget, current: str | None = None) -> Balance:
        """What is spent, against a budget.

        Args:
            budget: The limit.
            current: The run that counts as far as it went; by default the last one that spent.
        """
        last = current or next((run for run in reversed(self.runs) if self.runs[run].spent), "")
        earlier = [charged(run.plan, run.spent) for name, run in self.runs.items() if name != last and run.spent]
        return balance(budget, self.run(last), earlier)

    def committed(self, budget: Budget) -> Balance:
        """What is spent and what is reserved, against a budget: what is left is left for a further run."""
        return balance(budget, (), self.charged_elsewhere(""))

    def charged_elsewhere(self, name: str) -> list[list[Event]]:
        """What each other run is charged: while it may go on its whole plan, else see `events.charged`."""
        return [
            charged(run.plan, run.spent) if run.budget is None else reserved(run.plan, run.spent)
            for other, run in self.runs.items()
            if other != name
        ]


class Spent:
    """What the spends of a ledger add up to: read once, then as the ledger grows, so that a round of a long run costs
    what a round of a short one does.
    """

    def __init__(self) -> None:
        self._sums: dict[_Steps, tuple[int, int]] = {}
        self._last, self._leaf = -1, b""

    def of(self, database: sqlite3.Connection) -> Iterator[tuple[_Steps, int, int]]:
        """Each mechanism of an enrolment in a run; how many steps it took, and the index of the first."""
        stands = database.execute("SELECT leaf FROM entries WHERE idx = ?", (self._last,)).fetchone()
        if stands != (self._leaf,):  # nothing was read yet, or a transaction in which it was read came to nothing
            self._sums, self._last, self._leaf = {}, -1, b""
        rows = database.execute(_SPENDS, (self._last,))
        for index, leaf, *steps in rows:
            self._last, self._leaf = index, leaf
            count, first = self._sums.get(of := _Steps(*steps), (0, index))
            self._sums[of] = count + 1, first
        for of, (count, first) in self._sums.items():
            yield of, count, first


def accounts(
    database: sqlite3.Connection,
    tokens: Collection[bytes],
    *,
    plus_enrolment: int | None = None,
    broken: bool = False,
    spent: Spent | None = None,
) -> list[Account]:
    """The different histories among people.

    Args:
        database: The ledger.
        tokens: Keyed person ids.
        plus_enrolment: An enrolment that all of them are joining now (it may have no event yet).
        broken: With the noise multiplier that remains if aggregation is broken.
        spent: Of this ledger, where it is kept.
    """
    same = accounts_by_name(database)
    histories: dict[bytes, set[int]] = {same.get(token, token): set() for token in tokens}
    for person, enrolment in database.execute("SELECT person, enrolment FROM enrolled"):
        if (account := same.get(person, person)) in histories:
            histories[account].add(enrolment)
    if plus_enrolment is not None:
        for history in histories.values():
            history.add(plus_enrolment)
    by_enrolment = _by_enrolment(database, broken, spent or Spent())
    distinct = {frozenset(e for e in history if e in by_enrolment) for history in histories.values()}
    # A history contained in another has spent no more than it.
    widest = [h for h in distinct if not any(h < other for other in distinct)]
    found = [_account(sorted(history), by_enrolment) for history in sorted(widest, key=sorted)]
    return found or [Account({})]


def worst(found: Iterable[Account], budget: Budget) -> Balance:
    """Where the person stands who has spent most of a budget, by the filter."""
    return max((account.balance(budget) for account in found), key=lambda b: b.spent)


def fixed_plan(found: Iterable[Account], delta: float) -> Ple:
    """What the person who spent most has spent if all runs had been fixed in advance; never above the filter's."""
    return max((ple(account.events(), delta) for account in found), key=lambda one: one.sigma)


def worst_committed(found: Iterable[Account], budget: Budget) -> Balance:
    """Where the person stands who has least left of a budget, reservations included."""
    return max((account.committed(budget) for account in found), key=lambda b: b.spent)


def claim(found: Iterable[Account], spend: Spend, budget: Budget) -> dict[str, object]:
    """What the writer says that people have spent after a spend; goes into its entry.

    Args:
        found: Their histories before it.
        spend: What is being spent.
        budget: The site's: it accounts at its delta.
    """
    after = [account.plus(spend.run, spend.plan, spend.mechanism) for account in found]
    most = max((one.balance(budget, spend.run).filter for one in after), key=lambda ple: ple.sigma)
    fixed = fixed_plan(after, budget.delta)
    return {
        "delta": budget.delta,
        "epsilon": most.epsilon,
        "ple_sigma": most.sigma,
        "accountant": most.accountant,
        "fixed_plan": {"epsilon": fixed.epsilon, "ple_sigma": fixed.sigma, "accountant": fixed.accountant},
    }


@dataclass(frozen=True)
class _Row:
    """Of one enrolment in one run: the events of one mechanism, or its reservation while it is open, or is lost."""

    first: int
    run: str
    plan: tuple[Event, ...]
    event: Event | None = None
    budget: Budget | None = None
    lost: bool = False


def _by_enrolment(database: sqlite3.Connection, broken: bool, spent: Spent) -> dict[int, list[_Row]]:
    spends = list(spent.of(database))
    open_now = database.execute("""
        SELECT enrolment, run, plan, body, idx FROM entries
        WHERE kind = 'reservation' AND run NOT IN (SELECT run FROM entries WHERE kind = 'closing')
    """)
    lost = database.execute(f"""
        SELECT enrolment, run, plan, idx FROM entries WHERE kind = 'reservation' AND run IN ({LOST})
    """)
    left: dict[str, dict[str, float]] = {}  # run -> mechanism -> noise multiplier if aggregation is broken
    for steps, _, _ in spends:
        left.setdefault(steps.run, {})[_kind(from_json(json.loads(steps.mechanism)))] = steps.multiplier
    found: dict[int, list[_Row]] = {}

    def add(enrolment: int, row: _Row) -> None:
        if broken:
            row = replace(
                row,
                plan=tuple(_broken(event, left.get(row.run, {})) for event in row.plan),
                event=None if row.event is None else _broken(row.event, left.get(row.run, {})),
            )
        found.setdefault(enrolment, []).append(row)

    for steps, count, first in spends:
        event = _times(from_json(json.loads(steps.mechanism)), count)
        add(steps.enrolment, _Row(first, steps.run, _events(steps.plan), event))
    for enrolment, run, plan, body, first in open_now:
        budget = Budget.model_validate(json.loads(body)["budget"])
        add(enrolment, _Row(first, run, _events(plan), budget=budget))
    for enrolment, run, plan, first in lost:
        add(enrolment, _Row(first, run, _events(plan), lost=True))
    return found


def _events(plan: str) -> tuple[Event, ...]:
    return tuple(from_json(value) for value in json.loads(plan))


def _kind(event: Event) -> str:
    """Sample rate and noise multiplier: what tells one mechanism of a run from another."""
    rate = 1.0 if isinstance(event, Gaussian) else event.sample_rate
    return f"{rate!r} {event.noise_multiplier!r}"


def _broken(event: Event, left: Mapping[str, float]) -> Event:
    return replace(event, noise_multiplier=left.get(_kind(event), event.noise_multiplier))


def _times(event: Event, count: int) -> Event:
    if isinstance(event, Gaussian):
        return SubsampledGaussian(1.0, event.noise_multiplier, count)
    return replace(event, steps=event.steps * count)


def _account(history: list[int], by_enrolment: dict[int, list[_Row]]) -> Account:
    rows = sorted((row for enrolment in history for row in by_enrolment[enrolment]), key=lambda row: row.first)
    runs: dict[str, list[_Row]] = {}
    for row in rows:
        runs.setdefault(row.run, []).append(row)
    return Account({run: _run(its) for run, its in runs.items()})


def _run(rows: list[_Row]) -> RunSpend:
    spent = tuple(row.event for row in rows if row.event is not None)
    if any(row.lost for row in rows):
        return RunSpend(tuple(reserved(rows[-1].plan, spent)), rows[-1].plan)
    budgets = [row.budget for row in rows if row.budget is not None]
    return RunSpend(spent, rows[-1].plan, budgets[0] if budgets else None)
