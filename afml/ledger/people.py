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
from collections.abc import Iterable, Mapping
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
    key = read_secret(path)
    if len(key) != 32:
        raise InputError("person key is damaged", where=path, cure="restore it from the node's backup")
    return key


class People:
    """The tables of people of one ledger: who is enrolled in what, and who has withdrawn.

    Args:
        database: The ledger's; what writes is called inside its transaction.
        key: The node-local secret, 32 bytes.
    """

    def __init__(self, database: sqlite3.Connection, key: bytes) -> None:
        self._database, self._key = database, key

    def token(self, person: str) -> bytes:
        """Keyed id of a person, 16 bytes."""
        return hmac.digest(self._key, b"person\x00" + person.encode(), hashlib.sha256)[:16]

    def tokens(self, people: Iterable[str]) -> dict[bytes, str]:
        """Keyed ids of people, each with the id it came from.

        Raises:
            InputError: Nobody, or somebody twice.
        """
        listed = list(people)
        found = {self.token(person): person for person in listed}
        if not listed:
            raise InputError("names no person", where="enrolment")
        if len(found) != len(listed):
            raise InputError(f"names {len(listed) - len(found)} people more than once", where="enrolment")
        return found

    def commitment(self, tokens: Iterable[bytes]) -> bytes:
        """Commitment to a set of people, 32 bytes."""
        return hmac.digest(self._key, b"enrolment\x00" + b"".join(sorted(tokens)), hashlib.sha256)

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

    def withdraw(self, person: str) -> bytes | None:
        """Note that a person has withdrawn; the commitment to record, None where it is recorded already."""
        token = self.token(person)
        if self._database.execute("SELECT 1 FROM withdrawn WHERE person = ?", (token,)).fetchone():
            return None
        self._database.execute("INSERT INTO withdrawn VALUES (?)", (token,))
        return self.commitment([b"withdrawal", token])

    def withdrawn(self) -> set[bytes]:
        """Keyed ids of all who have withdrawn."""
        return {row[0] for row in self._database.execute("SELECT person FROM withdrawn")}

    def refuse_withdrawn(self, tokens: Mapping[bytes, str], where: str) -> None:
        """Refuse to spend or release what concerns people who have withdrawn.

        Raises:
            BudgetError: Somebody has; says how many.
        """
        if gone := self.withdrawn() & tokens.keys():
            raise BudgetError(
                f"{len(gone)} of {len(tokens)} people have withdrawn consent",
                where=where,
                cure="leave them out (Ledger.enrollable) and declare the new enrolment",
            )
