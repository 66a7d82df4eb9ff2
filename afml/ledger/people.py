"""Which people stand behind which spend, under a key that never leaves the node.

A person id becomes HMAC-SHA256(key, id), cut to 16 bytes; an enrolment (a set of people) becomes a
commitment, HMAC-SHA256(key, sorted tokens). The commitment is in the ledger entry and thereby in the
tree: rewriting who was enrolled shows, but only to somebody who holds the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import BudgetError, InputError
from afml.core.files import read_secret, write_secret

KEY_FILE = "person.key"


def load_key(folder: Path, *, create: bool) -> bytes:
    """The node-local secret, 32 bytes, mode 0600.

    Raises:
        InputError: Missing (and not to be created), readable by others, or damaged.
    """
    path = folder / KEY_FILE
    if not path.exists() and create:
        write_secret(path, os.urandom(32))
    if not path.exists():
        raise InputError("person key is missing", where=path, cure="put it back with `afml ledger restore`")
    key = read_secret(path)
    if len(key) != 32:
        raise InputError("person key is damaged", where=path, cure="restore it from the node's backup")
    return key


@dataclass(frozen=True)
class Traces:
    """What is known of some people in a ledger.

    Attributes:
        people: How many of them it knows at all.
        runs: Runs that any of them was spent on in.
        releases: Entries of released files that any of them is in.
    """

    people: int
    runs: list[str]
    releases: list[int]


class People:
    """The tables of people of one ledger: who is enrolled in what, and who has withdrawn.

    Args:
        database: The ledger's; what writes is called inside its transaction.
        key: The node-local secret, 32 bytes.
    """

    def __init__(self, database: sqlite3.Connection, key: bytes) -> None:
        self._database, self._key = database, key

    def token(self, person: str) -> bytes:
        """Keyed id of the account of a person, 16 bytes; somebody who was renamed has that of the first name."""
        return self.account(self._named(person))

    def account(self, token: bytes) -> bytes:
        """The account that a keyed id stands for: itself, but for somebody who was renamed."""
        select = "SELECT account FROM same WHERE person = ?"
        while (row := self._database.execute(select, (token,)).fetchone()) is not None:
            token = row[0]
        return token

    def committed(self, what: str, parts: Iterable[bytes]) -> bytes:
        """Keyed commitment to some byte strings in any order, 32 bytes; strings of one beginning have one length."""
        return hmac.digest(self._key, what.encode() + b"\x00" + b"".join(sorted(parts)), "sha256")

    def committed_in_order(self, what: str, parts: Iterable[bytes]) -> bytes:
        """`committed` for parts that come in ascending order, however many there are."""
        made = hmac.new(self._key, what.encode() + b"\x00", hashlib.sha256)
        for part in parts:
            made.update(part)
        return made.digest()

    def _named(self, person: str) -> bytes:
        return hmac.digest(self._key, b"person\x00" + person.encode(), hashlib.sha256)[:16]

    def tokens(self, people: Iterable[str]) -> dict[bytes, str]:
        """Keyed ids of people, each with the id it came from.

        Raises:
            InputError: Nobody, or somebody twice, perhaps under two names.
        """
        listed, same = list(people), accounts_by_name(self._database)
        if not listed:
            raise InputError("names no person", where="enrolment")
        found = {same.get(token, token): person for token, person in ((self._named(p), p) for p in listed)}
        if len(found) != len(listed) == len(set(listed)):
            raise InputError(
                f"names {len(listed) - len(found)} people twice, who had one account under two names",
                where="enrolment",
                cure="say who is who in --people and run `afml prepare` again",
            )
        if len(found) != len(listed):
            raise InputError(f"names {len(listed) - len(found)} people more than once", where="enrolment")
        return found

    def commitment(self, tokens: Iterable[bytes]) -> bytes:
        """Commitment to a set of people, 32 bytes."""
        return self.committed("enrolment", tokens)

    def assignment(self, patterns: Mapping[bytes, int]) -> bytes:
        """Commitment to who shows which pattern in a release, 32 bytes."""
        return self.committed("released", (token + number.to_bytes(4, "big") for token, number in patterns.items()))

    def enrol(self, tokens: Mapping[bytes, str]) -> tuple[int, bytes]:
        """Number and commitment of the enrolment of these people, which is stored once."""
        commitment = self.commitment(tokens)
        select = "SELECT enrolment FROM enrolments WHERE commitment = ?"
        row = self._database.execute(select, (commitment,)).fetchone()
        if row is None:
            cursor = self._database.execute("INSERT INTO enrolments (commitment) VALUES (?)", (commitment,))
            row = (cursor.lastrowid,)
            members = [(token, row[0]) for token in sorted(tokens)]
            self._database.executemany("INSERT INTO enrolled VALUES (?, ?)", members)
        return int(row[0]), commitment

    def withdraw(self, tokens: Iterable[bytes], index: int) -> None:
        """Note that people have withdrawn by the entry `index`."""
        rows = [(token, index) for token in sorted(tokens)]
        self._database.executemany("INSERT INTO withdrawn VALUES (?, ?)", rows)

    def traces(self, tokens: Iterable[bytes]) -> Traces:
        """Where people appear in this ledger, by what can be said of them together."""
        wanted, same = set(tokens), accounts_by_name(self._database)

        def rows(query: str) -> list[tuple[bytes, int]]:
            found = [(same.get(person, person), what) for person, what in self._database.execute(query)]
            return [(person, what) for person, what in found if person in wanted]

        joined, shown = rows("SELECT person, enrolment FROM enrolled"), rows("SELECT person, idx FROM released")
        spends = self._database.execute("SELECT DISTINCT run, enrolment FROM entries WHERE kind = 'spend'")
        enrolments = {enrolment for _, enrolment in joined}
        return Traces(
            people=len({person for person, _ in [*joined, *shown]}),
            runs=sorted({run for run, enrolment in spends if enrolment in enrolments}),
            releases=sorted({index for _, index in shown}),
        )

    def withdrawn(self) -> set[bytes]:
        """Keyed ids of all who have withdrawn."""
        return {self.account(row[0]) for row in self._database.execute("SELECT person FROM withdrawn")}

    def shown(self, release: int) -> set[bytes]:
        """Keyed ids of the accounts of all who are in a release, by its entry."""
        return _shown_in(self._database, release)

    def refuse_withdrawn(self, tokens: Collection[bytes], where: str, then: str = "have a new run configured") -> None:
        """Refuse to spend or release what concerns people who have withdrawn.

        Args:
            tokens: Keyed ids of the accounts that it concerns.
            where: What is refused.
            then: What to do once they are left out.

        Raises:
            BudgetError: Somebody has; says how many.
        """
        if gone := self.withdrawn().intersection(tokens):
            raise BudgetError(
                f"{len(gone)} of {len(tokens)} people have withdrawn consent",
                where=where,
                cure=f"leave them out with `afml prepare --without FILE`, and {then}",
            )


def accounts_by_name(database: sqlite3.Connection) -> dict[bytes, bytes]:
    """Keyed id -> the account that it stands for, for all that stand for another one (`afml.ledger.records`)."""
    same = dict(database.execute("SELECT person, account FROM same"))

    def resolved(token: bytes) -> bytes:
        while token in same:
            token = same[token]
        return token

    return {token: resolved(token) for token in same}


def withdrawn_since(database: sqlite3.Connection, run: str) -> int:
    """How many people of a run's newest release have withdrawn."""
    same = accounts_by_name(database)
    newest = database.execute("SELECT max(idx) FROM entries WHERE kind = 'release' AND run = ?", (run,)).fetchone()[0]
    gone = {same.get(person, person) for (person,) in database.execute("SELECT person FROM withdrawn")}
    return len(gone & _shown_in(database, newest))


def _shown_in(database: sqlite3.Connection, release: int) -> set[bytes]:
    """Keyed ids of the accounts of all who are in a release."""
    same = accounts_by_name(database)
    rows = database.execute("SELECT person FROM released WHERE idx = ?", (release,))
    return {same.get(person, person) for (person,) in rows}
