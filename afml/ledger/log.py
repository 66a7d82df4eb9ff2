"""An append-only log: entries in SQLite, a hash tree over them, one signed head after each.

`Ledger` builds on it; `Witness` uses it to countersign the heads of other institutions.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.config import canonical_json
from afml.core.errors import InputError, IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.entries import VERSION, Entry
from afml.ledger.schema import no_space
from crypto.public import signing

CLOCK_TOLERANCE_MS = 5_000


class Log:
    """Entries, tree and heads of one ledger folder.

    Args:
        database: From `schema.connect`.
        key: Signs the heads.
        folder: For messages.
        clock: Unix seconds.
        signed_by: Raw public key of the newest head; by default that of `key`.

    Raises:
        IntegrityError: The entries are not the ones that the newest head signs.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        key: Ed25519PrivateKey,
        folder: Path,
        clock: Callable[[], float],
        *,
        signed_by: bytes | None = None,
    ) -> None:
        self.database, self.key, self.folder, self.clock = database, key, folder, clock
        self._signed_by = signed_by
        self._lock = threading.RLock()
        self.origin = str(database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0])
        database.execute("BEGIN")  # entries and head of one moment: another process may append meanwhile
        try:
            self._tree = self._load()
        finally:
            database.execute("COMMIT")

    def __len__(self) -> int:
        """Entries on disk: another process may have appended since this one did."""
        return self._stored_size()

    def entries(self) -> Iterator[Entry]:
        """All entries in order."""
        query = "SELECT idx, kind, body, leaf FROM entries ORDER BY idx"
        for index, kind, body, leaf in self.database.execute(query):
            yield Entry(index, kind, json.loads(body), leaf.hex())

    def checkpoint(self) -> str:
        """The newest signed head, with the countersignatures it has; "" for an empty ledger."""
        row = self.database.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        return row[0] if row else ""

    def keys(self) -> list[bytes]:
        """Raw public keys that have signed this ledger's heads, the present one last."""
        query = "SELECT body FROM entries WHERE kind IN ('succession', 'import') ORDER BY idx"
        earlier = [bytes.fromhex(json.loads(body)["old_key"]) for (body,) in self.database.execute(query)]
        return [*earlier, signing.public_bytes(self.key)]

    def names(self) -> list[tuple[int, str]]:
        """(size up to which a head bears it, name), of the names that this ledger had before it was imported."""
        query = "SELECT idx, body FROM entries WHERE kind = 'import' ORDER BY idx"
        return [(index, str(json.loads(body)["origin"])) for index, body in self.database.execute(query)]

    def require_own(self, note: str) -> None:
        """Refuse a head that no key of this ledger has signed.

        Raises:
            IntegrityError: Likewise.
        """
        for key in self.keys():
            with contextlib.suppress(IntegrityError):
                notes.verify(note, key)
                return
        raise IntegrityError("a head was shown for this ledger that none of its keys has signed", where=self.origin)

    def leaves(self) -> list[bytes]:
        """Leaf hashes in order."""
        return [row[0] for row in self.database.execute("SELECT leaf FROM entries ORDER BY idx")]

    def root(self, size: int) -> bytes:
        """Root hash of the tree over the first `size` entries; they are read only where there are more."""
        return self._tree.root() if size == self._tree.size else tree.root_of(self.leaves()[:size])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk when the block ends; one writer at a time over all processes.

        Within another one it is a part of that: what it wrote is undone with the outer one alone.

        Raises:
            InputError: The disk is full.
        """
        with self._lock:
            if self.database.in_transaction:
                yield
                return
            self.database.execute("BEGIN IMMEDIATE")
            before = self._tree
            try:
                if self._stored_size() != before.size:  # another process appended
                    self._tree = self._load()
                yield
                self.database.execute("COMMIT")
            except BaseException as error:
                self._tree = before
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and no_space(error):
                    cure = "make room and start again: nothing of it was written"
                    raise InputError("finds no room on its disk", where=self.folder, cure=cure) from None
                raise

    def _stored_size(self) -> int:
        row = self.database.execute("SELECT max(idx) FROM entries").fetchone()
        return 0 if row[0] is None else row[0] + 1

    def _load(self) -> tree.Frontier:
        """The tree of the stored entries, which must be the one the newest head signs."""
        frontier = tree.Frontier()
        for index, body, leaf in self.database.execute("SELECT idx, body, leaf FROM entries ORDER BY idx"):
            if index != frontier.size or tree.leaf_hash(body) != leaf:
                raise self._damaged(f"entry {index} was altered or moved")
            frontier.append(leaf)
        note = self.checkpoint()
        if note:
            head = notes.verify(note, self._signed_by or signing.public_bytes(self.key))
            if (head.size, head.root) != (frontier.size, frontier.root()):
                raise self._damaged(f"holds {frontier.size} entries, but its signed head has {head.size}")
        elif frontier.size:
            raise self._damaged("has entries but no signed head")
        elif self.origin != notes.origin_of(signing.public_bytes(self.key)):
            # The founding key alone begins a ledger: whoever was handed its name later must bring what stands in it.
            raise IntegrityError(
                f"is empty, and {self.origin} began under an earlier key",
                where=self.folder,
                cure="put the ledger back with `afml ledger restore`",
            )
        return frontier

    def _damaged(self, problem: str) -> IntegrityError:
        return IntegrityError(problem, where=self.folder, cure="do not train; run afml audit verify")

    def add(self, body: Mapping[str, object], columns: Mapping[str, object]) -> tuple[int, bytes, str]:
        """Insert an entry and the head that signs it; call inside a transaction.

        Args:
            body: What the entry says; index and time are added.
            columns: Parts of the body that the tables repeat for look-ups.

        Returns:
            Index, leaf hash, signed head.

        Raises:
            IntegrityError: The clock went back by more than CLOCK_TOLERANCE_MS.
        """
        index, now = self._tree.size, int(self.clock() * 1000)
        query = "SELECT time_ms FROM entries ORDER BY idx DESC LIMIT 1"
        last = (self.database.execute(query).fetchone() or (0,))[0]
        if now < last:
            if now < last - CLOCK_TOLERANCE_MS:
                raise IntegrityError(
                    f"the clock is {(last - now) / 1000:.0f} s behind the last entry",
                    where=self.folder,
                    cure="set this machine's clock",
                )
            now = last
        full = {"v": VERSION, "index": index, "time_ms": now, **body}
        data = canonical_json(full)
        leaf = tree.leaf_hash(data)
        row = {"idx": index, "kind": full["kind"], "body": data, "leaf": leaf, "time_ms": now, **columns}
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO entries ({names}) VALUES ({marks})", tuple(row.values()))
        grown = self._tree.copy()
        grown.append(leaf)
        note = notes.sign(notes.Checkpoint(self.origin, grown.size, grown.root()), self.key)
        # Heads without countersignatures say nothing that the newest one does not.
        bare = "DELETE FROM checkpoints WHERE size = ? AND note NOT LIKE '%\n— %\n— %'"
        self.database.execute(bare, (index,))
        self.database.execute("INSERT INTO checkpoints VALUES (?, ?)", (grown.size, note))
        self._tree = grown
        return index, leaf, note
