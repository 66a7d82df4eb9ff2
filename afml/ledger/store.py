"""The ledger's writer: append-only entries, a hash tree over them, a signed head after each.

    with Ledger.open(folder, signing_key, origin=origin_of(consortium, node)) as ledger:
        receipt = ledger.append(spend_for(config, 1, 1, cohort), people, budget=config.budget)

`append` is one SQLite transaction: budget check, entry, tables of people, new signed head. It returns
after the commit is on disk, and only then is there a receipt. So a crash at any instant leaves either
no spend and no receipt, or a spend that was perhaps never used: the ledger may over-count and cannot
under-count.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.config import canonical_json
from afml.core.errors import BudgetError, IntegrityError
from afml.core.run import Budget
from afml.ledger import people as persons
from afml.ledger import schema, spending
from afml.ledger.entries import Spend
from afml.ledger.log import Log
from afml.ledger.receipt import _SEAL, Receipt
from afml.ledger.releases import ReleaseRecord, smallest_joint_group
from afml.ledger.spending import Account
from afml.privacy.budget import Standing, check
from afml.privacy.events import Event
from afml.privacy.ple import ple
from crypto.public import signing

_ATTEMPT = "FROM entries WHERE kind = 'spend' AND run = ? AND round = ? AND attempt = ?"


class Ledger(Log):
    """One node's ledger. Use `open`; safe for several threads, and for several processes one at a time."""

    def __init__(
        self,
        database: sqlite3.Connection,
        key: Ed25519PrivateKey,
        person_key: bytes,
        folder: Path,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(database, key, folder, clock)
        self._person_key = person_key

    @classmethod
    def open(
        cls, folder: Path, key: Ed25519PrivateKey, *, origin: str, clock: Callable[[], float] = time.time
    ) -> Ledger:
        """Open the ledger in `folder`, making it if it is new.

        Args:
            folder: Holds ledger.db and person.key, both private to the node.
            key: The node's Ed25519 signing key.
            origin: Name of the ledger, see `checkpoint.origin_of`.
            clock: Unix seconds.

        Raises:
            IntegrityError: The ledger does not match its own signed head, or belongs to somebody else.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            database = schema.connect(folder, origin, signing.public_bytes(key))
            # A new person key for an old ledger would make every earlier spend invisible.
            empty = not database.execute("SELECT 1 FROM entries LIMIT 1").fetchone()
            ledger = cls(database, key, persons.load_key(folder, create=empty), folder, clock)
        except sqlite3.DatabaseError as error:
            problem = f"cannot be read ({error})"
            raise IntegrityError(problem, where=folder, cure="run afml audit verify") from None
        if ledger.origin != origin:
            raise IntegrityError(f"is the ledger of {ledger.origin}", where=folder, cure="use another folder")
        return ledger

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def append(self, spend: Spend, people: Iterable[str], *, budget: Budget | None = None) -> Receipt:
        """Record a spend, durably, and return the receipt that sending requires.

        Args:
            spend: What is about to be spent.
            people: Ids of all people enrolled in this attempt (not only the sampled ones).
            budget: Their limit; without one only the record is kept.

        Raises:
            BudgetError: The spend would pass the budget, or somebody withdrew; nothing is recorded.
            IntegrityError: This attempt is already spent (resend the stored bytes, or start a new
                attempt), the run's plan changed, or the clock went back.
        """
        tokens = persons.tokens_of(self._person_key, people)
        plan = canonical_json([event.to_json() for event in spend.plan]).decode()
        with self.transaction():
            self._refuse_withdrawn(tokens, spend.where)
            self._refuse_repeat(spend, plan)
            enrolment, commitment = self._enrol(tokens)
            claim = None if budget is None else self._claim(spend, tokens, enrolment, budget)
            body = {
                **spend.to_json(),
                "people": len(tokens),
                "enrolment": commitment.hex(),
                "budget": None if budget is None else budget.model_dump(mode="json", exclude_none=True),
                "claim": claim,
            }
            columns = {
                "run": spend.run,
                "round": spend.round,
                "attempt": spend.attempt,
                "enrolment": enrolment,
                "mechanism": canonical_json(spend.mechanism.to_json()).decode(),
                "broken_multiplier": spend.broken_multiplier,
                "plan": plan,
            }
            index, leaf, note = self.add(body, columns)
        return self._issue(spend.run, spend.round, spend.attempt, index, leaf, note)

    def receipt(self, run: str, round: int, attempt: int) -> Receipt | None:
        """The receipt of a spend that is already durable (after a restart), or None."""
        with self._lock:
            row = self.database.execute("SELECT idx, leaf " + _ATTEMPT, (run, round, attempt)).fetchone()
            if row is None:
                return None
            return self._issue(run, round, attempt, row[0], row[1], self.checkpoint())

    def withdraw(self, person: str) -> None:
        """A person withdraws consent: no future spend or release, past spend stays. Idempotent."""
        key = persons.token(self._person_key, person)
        with self.transaction():
            if self.database.execute("SELECT 1 FROM withdrawn WHERE person = ?", (key,)).fetchone():
                return
            self.database.execute("INSERT INTO withdrawn VALUES (?)", (key,))
            commitment = persons.commitment(self._person_key, [b"withdrawal", key])
            self.add({"kind": "withdrawal", "commitment": commitment.hex()}, {})

    def record_release(self, release: ReleaseRecord, patterns: Mapping[str, str]) -> int:
        """Record a release after checking it against earlier ones about the same people.

        Somebody who holds several releases can intersect them: people are told apart as soon as any
        file tells them apart. So the groups that count are those of people who agree in this and in
        every earlier release (absence from a file is a pattern too).

        Args:
            release: File digest and settings.
            patterns: person -> label of the released pattern.

        Returns:
            Index of the ledger entry.

        Raises:
            ReleaseError: The smallest joint group would be below `release.min_group_size`.
            BudgetError: Somebody in it has withdrawn.
        """
        tokens = persons.tokens_of(self._person_key, patterns)
        with self.transaction():
            self._refuse_withdrawn(tokens, f"release {release.file_digest[:12]}")
            earlier: dict[bytes, dict[int, int]] = {}
            for person, index, pattern in self.database.execute("SELECT person, idx, pattern FROM released"):
                if person in tokens:
                    earlier.setdefault(person, {})[index] = pattern
            labels = {label: number for number, label in enumerate(sorted(set(patterns.values())))}
            new = {person: labels[patterns[name]] for person, name in tokens.items()}
            smallest, others = smallest_joint_group(new, earlier)
            release.require(smallest, len(others))
            body = {
                **release.to_json(),
                "people": len(tokens),
                "patterns": len(labels),
                "smallest_joint_group": smallest,
                "earlier": others,
                "enrolment": persons.commitment(self._person_key, tokens).hex(),
            }
            index, _, _ = self.add(body, {"run": release.run})
            rows = [(person, index, pattern) for person, pattern in sorted(new.items())]
            self.database.executemany("INSERT INTO released VALUES (?, ?, ?)", rows)
        return index

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
        body = {
            "kind": "audit",
            "run": run,
            "mu_lower": mu_lower,
            "confidence": confidence,
            "instrument": instrument,
        }
        with self.transaction():
            index, _, _ = self.add(body, {"run": run})
        return index

    # Reading

    def enrollable(self, people: Iterable[str]) -> list[str]:
        """Those of `people` who have not withdrawn, in the same order."""
        gone = {row[0] for row in self.database.execute("SELECT person FROM withdrawn")}
        return [person for person in people if persons.token(self._person_key, person) not in gone]

    def spent(self, people: Iterable[str], *, delta: float = 1e-5, broken: bool = False) -> list[Event]:
        """What the person among `people` with the largest spend has spent.

        Args:
            people: Person ids; unknown ones have spent nothing.
            delta: Spends are ordered by their PLE at this delta.
            broken: With the noise that remains if aggregation is broken.
        """
        histories = [account.events() for account in self.accounts(people, broken=broken)]
        if len(histories) == 1:
            return histories[0]
        return max(histories, key=lambda events: ple(events, delta).sigma)

    def standing(self, people: Iterable[str], budget: Budget, *, run: str | None = None) -> Standing:
        """Where these people stand against a budget: the worst of them.

        Args:
            people: Person ids.
            budget: Their limit.
            run: The current run (default: the last one), which counts as spent; see `events.charged` for
                how earlier ones count.
        """
        return max((a.standing(budget, run) for a in self.accounts(people)), key=lambda s: s.spent)

    def accounts(self, people: Iterable[str], *, broken: bool = False) -> list[Account]:
        """The different histories among people; at least one, empty where nobody spent anything.

        Args:
            people: Person ids.
            broken: With the noise that remains if aggregation is broken.
        """
        tokens = {persons.token(self._person_key, person) for person in people}
        with self._lock:
            return spending.accounts(self.database, tokens, broken=broken)

    # Inside

    def _enrol(self, tokens: Mapping[bytes, str]) -> tuple[int, bytes]:
        commitment = persons.commitment(self._person_key, tokens)
        select = "SELECT enrolment FROM enrolments WHERE commitment = ?"
        row = self.database.execute(select, (commitment,)).fetchone()
        if row is None:
            cursor = self.database.execute("INSERT INTO enrolments (commitment) VALUES (?)", (commitment,))
            row = (cursor.lastrowid,)
            members = [(token, row[0]) for token in sorted(tokens)]
            self.database.executemany("INSERT INTO enrolled VALUES (?, ?)", members)
        return int(row[0]), commitment

    def _refuse_withdrawn(self, tokens: Mapping[bytes, str], where: str) -> None:
        gone = {row[0] for row in self.database.execute("SELECT person FROM withdrawn")} & tokens.keys()
        if gone:
            raise BudgetError(
                f"{len(gone)} of {len(tokens)} people have withdrawn consent",
                where=where,
                cure="leave them out (Ledger.enrollable) and declare the new enrolment",
            )

    def _refuse_repeat(self, spend: Spend, plan: str) -> None:
        attempt = (spend.run, spend.round, spend.attempt)
        if self.database.execute("SELECT 1 " + _ATTEMPT, attempt).fetchone():
            raise IntegrityError(
                "is already spent", where=spend.where, cure="resend the stored update, or start a new attempt"
            )
        query = "SELECT plan FROM entries WHERE kind = 'spend' AND run = ? LIMIT 1"
        if self.database.execute(query, (spend.run,)).fetchone() not in (None, (plan,)):
            problem = "the plan of this run has changed"
            raise IntegrityError(problem, where=spend.where, cure="start a new run")

    def _claim(
        self, spend: Spend, tokens: Mapping[bytes, str], enrolment: int, budget: Budget
    ) -> dict[str, object]:
        """Check the budget for everybody enrolled; what the writer says they have spent after this."""
        where = f"{spend.where}, {len(tokens)} people"
        found = spending.accounts(self.database, tokens, plus_enrolment=enrolment)
        run, step = spend.run, spend.mechanism
        for account in found:
            check(budget, account.run(run), step, earlier=account.charged_elsewhere(run), where=where)
        worst = max((ple([*a.events(), step], budget.delta) for a in found), key=lambda p: p.sigma)
        return {
            "delta": worst.delta,
            "epsilon": worst.epsilon,
            "ple_sigma": worst.sigma,
            "accountant": worst.accountant,
        }

    def _issue(self, run: str, round: int, attempt: int, index: int, leaf: bytes, note: str) -> Receipt:
        return Receipt(
            _SEAL, run=run, round=round, attempt=attempt, index=index, leaf=leaf.hex(), checkpoint=note
        )
