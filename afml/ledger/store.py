"""The ledger's writer: append-only entries, a hash tree over them, a signed head after each.

    with Ledger.open(folder, signing_key, origin=kit.origin) as ledger:
        ledger.plans.reserve(reservation_for(config, limits, days=30), people)
        receipt = ledger.append(spend_for(config, Attempt(1, 1), cohort), people, limits)

`append` is one SQLite transaction: checks, entry, tables of people, new signed head. It returns
after the commit is on disk, and only then is there a receipt. So a crash at any instant leaves either
no spend and no receipt, or a spend that was perhaps never used: the ledger may over-count and cannot
under-count. What may be spent at all was set aside before (`plans`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.core.config import canonical_json
from afml.core.errors import IntegrityError
from afml.core.files import hold_together
from afml.ledger import schema, simulation, spending
from afml.ledger.entries import Spend
from afml.ledger.log import Log
from afml.ledger.overlaps import Overlaps
from afml.ledger.people import People, Traces, load_key
from afml.ledger.plans import Plans
from afml.ledger.receipt import _SEAL, Receipt
from afml.ledger.records import Recognised, recognise
from afml.ledger.releases import Releases
from afml.ledger.reservation import Limits
from afml.ledger.spending import Account, claim
from crypto.public import signing

_RUN = "FROM entries WHERE kind = 'spend' AND run = ?"
_ATTEMPT = _RUN + " AND round = ? AND attempt = ?"


class Ledger(Log):
    """One node's ledger. Use `open`; safe for several threads, and for several processes one at a time."""

    def __init__(
        self,
        database: sqlite3.Connection,
        key: Ed25519PrivateKey,
        people: People,
        folder: Path,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(database, key, folder, clock)
        self._people = people
        self._release: Callable[[], object] = lambda: None
        self.plans, self.releases = Plans(self, people), Releases(self, people)
        self.overlaps = Overlaps(self, people)

    @classmethod
    def open(
        cls, folder: Path, key: Ed25519PrivateKey, *, origin: str, clock: Callable[[], float] = time.time
    ) -> Ledger:
        """Open the ledger in `folder`, making it if it is new. While it is open, no backup is put in its place.

        Args:
            folder: Holds ledger.db and person.key, both private to the node.
            key: The node's Ed25519 signing key.
            origin: Name of the ledger, see `checkpoint.origin_of`.
            clock: Unix seconds.

        Raises:
            IntegrityError: The ledger does not match its own signed head, or belongs to somebody else.
            InputError: Another version of AFML wrote it, its person key is missing, or a backup is being put back.
            sqlite3.OperationalError: The disk takes nothing.
        """
        held = hold_together(folder, "a backup is being put back")
        try:
            database = schema.connect(folder, origin, signing.public_bytes(key))
            try:
                opened = cls(database, key, _people(database, folder, origin), folder, clock)
            except BaseException:
                database.close()
                raise
        except BaseException as error:
            os.close(held)
            if isinstance(error, sqlite3.DatabaseError) and not schema.no_space(error):
                problem = f"cannot be read ({error})"
                raise IntegrityError(problem, where=folder, cure="run afml audit verify") from None
            raise
        opened._release = weakref.finalize(opened, os.close, held)
        return opened

    def close(self) -> None:
        """Close the database, and let who wants to have the folder."""
        self.database.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def append(self, spend: Spend, people: Iterable[str], limits: Limits) -> Receipt:
        """Record a spend, durably, and return the receipt that sending requires.

        Args:
            spend: What is about to be spent: a part of a plan that is reserved (`plans`).
            people: Ids of all people enrolled in this attempt (not only the sampled ones).
            limits: What they may spend, as it stands now.

        Raises:
            BudgetError: Nothing is reserved for it, the run is closed or its time is up, the plan does not fit the
                limits any more, or somebody withdrew; nothing is recorded.
            IntegrityError: This attempt is already spent (resend the stored bytes, or start a new
                attempt), the run's name, people or plan changed, or the clock went back.
        """
        tokens = self._people.tokens(people)
        plan = canonical_json([event.to_json() for event in spend.plan]).decode()
        with self.transaction():
            self._people.refuse_withdrawn(tokens, spend.where)
            insecure, spent = spend.insecure, self.plans.spent
            simulation.refuse_mixed(self.database, tokens, spent, insecure=insecure, where=spend.where)
            self._refuse_repeat(spend)
            enrolment, commitment = self._people.enrol(tokens)
            found, delta = self.plans.allow(spend, tokens, enrolment, limits), limits.lifetime.delta
            body = {
                **spend.to_json(),
                "people": len(tokens),
                "enrolment": commitment.hex(),
                **limits.to_json(),
                "claim": simulation.claim(delta) if spend.insecure else claim(found, spend, limits.lifetime),
            }
            columns = {
                "run": spend.run,
                "round": spend.attempt.round,
                "attempt": spend.attempt.number,
                "enrolment": enrolment,
                "mechanism": canonical_json(spend.mechanism.to_json()).decode(),
                "broken_multiplier": spend.broken_multiplier,
                "plan": plan,
            }
            index, leaf, note = self.add(body, columns)
        return self._issue(spend.run, spend.attempt, index, leaf, note)

    def receipt(self, run: str, attempt: Attempt) -> Receipt | None:
        """The receipt of a spend that is already durable (after a restart), or None."""
        with self._lock:
            row = self.database.execute("SELECT idx, leaf " + _ATTEMPT, (run, *attempt)).fetchone()
            if row is None:
                return None
            return self._issue(run, attempt, row[0], row[1], self.checkpoint())

    def withdraw(self, people: Iterable[str]) -> tuple[int, Traces]:
        """People withdraw consent: no future spend or release, past spend stays. Idempotent.

        Returns:
            How many of them had not withdrawn before, and what stays of all of them.
        """
        with self.transaction():
            tokens = {self._people.token(person) for person in people}  # one name of somebody is enough
            new = tokens - self._people.withdrawn()
            if new:
                commitment = self._people.committed("withdrawal", new).hex()
                index, _, _ = self.add({"kind": "withdrawal", "people": len(new), "commitment": commitment}, {})
                self._people.withdraw(new, index)
            return len(new), self._people.traces(tokens)

    def record_audit(self, run: str, mu_lower: float, *, confidence: float, instrument: str) -> int:
        """Record what attacking a run's model established: its PLE is at least `mu_lower` sigma.

        Args:
            run: The attacked run.
            mu_lower: Lower bound on mu.
            confidence: Of the bound, in (0, 1).
            instrument: How it was found, in a few words.

        Returns:
            Index of the ledger entry.
        """
        with self.transaction():
            body = {
                "kind": "audit",
                "run": run,
                "insecure": run in simulation.simulated_runs(self.database),
                "mu_lower": mu_lower,
                "confidence": confidence,
                "instrument": instrument,
            }
            index, _, _ = self.add(body, {"run": run})
        return index

    def recognise(self, records: Iterable[tuple[str, Sequence[bytes]]]) -> Recognised:
        """Find out who was renamed since the ledger met them last; see `afml.ledger.records`.

        Args:
            records: (name, marks) of everybody at the institution.

        Raises:
            InputError: Somebody's record is known under a name that now stands for somebody else.
        """
        return recognise(self, self._people, records)

    # Reading

    def enrollable(self, people: Iterable[str]) -> list[str]:
        """Those of `people` who have not withdrawn, in the same order."""
        gone = self._people.withdrawn()
        return [person for person in people if self._people.token(person) not in gone]

    def spends(self, run: str, rounds: range) -> dict[Attempt, tuple[int, ...]]:
        """Every attempt of some rounds of a run that is spent, and its cohort.

        Costs as much as there are such attempts, however long the ledger is: it is found by an index.

        Args:
            run: The run.
            rounds: Consecutive rounds, from 1.
        """
        query = "SELECT round, attempt, body " + _RUN + " AND round >= ? AND round < ? ORDER BY round, attempt"
        with self._lock:
            found = self.database.execute(query, (run, rounds.start, rounds.stop)).fetchall()
        return {Attempt(round, number): tuple(json.loads(body)["cohort"]) for round, number, body in found}

    def attempts(self, run: str, rounds: range) -> int:
        """How many attempts of some rounds of a run are spent; see `spends`."""
        query = "SELECT count(*) " + _RUN + " AND round >= ? AND round < ?"
        with self._lock:
            return int(self.database.execute(query, (run, rounds.start, rounds.stop)).fetchone()[0])

    def accounts(self, people: Iterable[str], *, broken: bool = False) -> list[Account]:
        """The different histories among people; at least one, empty where nobody spent anything.

        Args:
            people: Person ids.
            broken: With the noise that remains if aggregation is broken.
        """
        tokens = {self._people.token(person) for person in people}
        with self._lock:
            return spending.accounts(self.database, tokens, broken=broken, spent=self.plans.spent)

    # Inside

    def _refuse_repeat(self, spend: Spend) -> None:
        if self.database.execute("SELECT 1 " + _ATTEMPT, (spend.run, *spend.attempt)).fetchone():
            raise IntegrityError(
                "is already spent", where=spend.where, cure="resend the stored update, or start a new attempt"
            )

    def _issue(self, run: str, attempt: Attempt, index: int, leaf: bytes, note: str) -> Receipt:
        return Receipt(_SEAL, run=run, attempt=attempt, index=index, leaf=leaf.hex(), checkpoint=note)


def _people(database: sqlite3.Connection, folder: Path, origin: str) -> People:
    """Those of the ledger in a folder, under its person key; of a new ledger one is made.

    Raises:
        IntegrityError: It is another institution's ledger.
        InputError: The key is missing or damaged.
    """
    owner = database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0]
    if owner != origin:
        raise IntegrityError(f"is the ledger of {owner}", where=folder, cure="use the kit of that institution")
    # One key is made once: of two processes that begin a ledger at the same time one waits here.
    database.execute("BEGIN IMMEDIATE")
    # A new person key for an old ledger would make every earlier spend invisible.
    empty = not database.execute("SELECT 1 FROM entries LIMIT 1").fetchone()
    people = People(database, load_key(folder, create=empty))
    database.execute("COMMIT")
    return people
