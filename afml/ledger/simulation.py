"""Simulations in a ledger: their spends bound nothing, and their people are kept apart from those of real runs.

A run with a seed has noise that whoever knows the seed can take off again. Its entries say `insecure`, its claims hold
no number, and a person who took part in one has no budget that a real run could keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator

from afml.core.errors import BudgetError
from afml.core.simulation import SIMULATION
from afml.ledger.people import accounts_by_name
from afml.ledger.schema import LOST
from afml.ledger.spending import Account, Spent

_MARK = "SELECT coalesce(json_extract(body, '$.insecure'), 0) FROM entries WHERE idx = ?"

_RESERVED = """
    SELECT enrolment, run, coalesce(json_extract(body, '$.insecure'), 0) FROM entries WHERE kind = 'reservation'
"""
_OPEN = f"""
    {_RESERVED} AND (run NOT IN (SELECT run FROM entries WHERE kind = 'closing') OR run IN ({LOST}))
"""  # what is set aside may be spent at any time, or was
_LOST = f"{_RESERVED} AND run IN ({LOST})"


def claim(delta: float) -> dict[str, object]:
    """What an entry of a simulation says that people have spent: no number bounds it."""
    return {"delta": delta, "epsilon": None, "ple_sigma": None, "accountant": SIMULATION}


def simulated_runs(database: sqlite3.Connection) -> set[str]:
    """Runs whose spends are marked insecure, or whose plan is that counts as spent."""
    found = [*_spent(database, Spent()), *database.execute(_LOST)]
    return {run for _, run, insecure in found if insecure}


def _spent(database: sqlite3.Connection, spent: Spent) -> Iterator[tuple[int, str, bool]]:
    """(enrolment, run, insecure) of all spends. One entry stands for many: a run has one configuration."""
    for steps, _, first in spent.of(database):
        yield steps.enrolment, steps.run, bool(database.execute(_MARK, (first,)).fetchone()[0])


def simulated(database: sqlite3.Connection, accounts: Iterable[Account]) -> bool:
    """Whether anybody with these histories took part in a simulation."""
    marked = simulated_runs(database)
    return any(not marked.isdisjoint(account.runs) for account in accounts)


def refuse_mixed(
    database: sqlite3.Connection, tokens: Collection[bytes], spent: Spent, *, insecure: bool, where: object
) -> None:
    """Keep people of simulations and people of real runs apart, whichever came first.

    Args:
        database: The ledger.
        tokens: Keyed ids of the people who are about to take part.
        spent: What the ledger's spends add up to.
        insecure: In a simulation.
        where: For the message.

    Raises:
        BudgetError: Somebody took part in a run of the other sort; says how many.
    """
    found = [*_spent(database, spent), *database.execute(_OPEN)]
    other = {enrolment for enrolment, _, mark in found if bool(mark) != insecure}
    if not other:
        return
    among = set(tokens)
    same = accounts_by_name(database)
    everybody = database.execute("SELECT person, enrolment FROM enrolled")
    accounts = {same.get(person, person) for person, enrolment in everybody if enrolment in other}
    mixed = len(accounts & among)
    if not mixed:
        return
    if insecure:
        problem, cure = "are in real runs, which a simulation would make worthless", "simulate on made-up people"
    else:
        problem, cure = "took part in a simulation, which protects nobody", "enrol people who did not"
    raise BudgetError(f"{mixed} of these people {problem}", where=where, cure=cure)
