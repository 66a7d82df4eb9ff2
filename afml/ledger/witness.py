"""Countersignatures: institutions vouch for each other's heads, so that no ledger can fork or forget unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.log import Log
from crypto.public import signing

NEVER = notes.Checkpoint("", 0, tree.EMPTY_ROOT)
"""The head of a ledger that was never seen."""


@dataclass(frozen=True)
class Known:
    """The last head of another institution that this one countersigned (its line included), and whose key it is."""

    note: str
    head: notes.Checkpoint
    key: bytes


class Witness:
    """One institution's memory of the others' heads, kept in its own ledger.

    A peer sends its newest head and a `proof` that it extends the one that it was told is known here;
    `countersign` answers with one signature line, which the peer keeps by `accept`. Whoever is shown an
    own head by a peer asks `require_past`. The aggregator may carry all of it: every piece is signed.
    """

    def __init__(self, ledger: Log) -> None:
        self._ledger = ledger
        self._own: dict[str, notes.Checkpoint] = {}  # heads of this ledger whose signature was checked: many sign one

    def known(self, origin: str) -> Known | None:
        """What is remembered of `origin`; None if nothing."""
        query = "SELECT note, key FROM peers WHERE origin = ?"
        row = self._ledger.database.execute(query, (origin,)).fetchone()
        return Known(row[0], notes.parse(row[0]), row[1]) if row else None

    def all_known(self) -> Iterator[Known]:
        """What is remembered of everybody, by origin."""
        for note, key in self._ledger.database.execute("SELECT note, key FROM peers ORDER BY origin"):
            yield Known(note, notes.parse(note), key)

    def vouched_by(self, name: str, public: bytes) -> int:
        """Size of this ledger's last head that another institution's countersignature is kept of; 0 if none."""
        query = "SELECT size, note FROM checkpoints ORDER BY size DESC"
        for size, note in self._ledger.database.execute(query):
            if notes.countersigners(note, {name: public}):
                return int(size)
        return 0

    def proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that this ledger's first `old_size` entries are a prefix of its first `size` (default: all)."""
        return tree.consistency_proof(self._ledger.leaves()[:size], old_size)

    def require_past(self, note: str) -> notes.Checkpoint:
        """Check a head of this very ledger that somebody else holds: it must be a part of what stands here.

        Args:
            note: Signed by this ledger, now or before a succession.

        Raises:
            IntegrityError: This ledger was rolled back, deleted or forked; or the head is not one of its own.
        """
        head = notes.parse(note)
        earlier = {name: size for size, name in self._ledger.names()}
        if head.size > earlier.get(head.origin, head.size):
            problem = (
                f"{earlier[head.origin]} entries of {head.origin} were imported, and a head of {head.size} is kept"
            )
            cure = "import the whole of it: `afml ledger import` with the newest backup"
            raise IntegrityError(problem, where=self._ledger.folder, cure=cure)
        if head.origin not in (self._ledger.origin, *earlier):
            raise IntegrityError(f"a head of {head.origin} was shown for this ledger's", where=self._ledger.origin)
        self._ledger.require_own(note)
        held = len(self._ledger)
        if head.size > held:
            raise IntegrityError(
                f"holds {held} entries, and a head of {head.size} that it signed is kept elsewhere: it was "
                "deleted, or an old copy was put back",
                where=self._ledger.folder,
                cure="put the newest backup back with `afml ledger restore`",
            )
        if self._ledger.root(head.size) != head.root:
            raise IntegrityError(
                f"is another history than the one whose head of {head.size} entries it signed before: it was "
                "begun anew, or used in two places",
                where=self._ledger.folder,
                cure="go on with the copy that others have seen: `afml ledger restore`",
            )
        return head

    def countersign(
        self, origin: str, note: str, proof: Sequence[bytes], public: bytes, since: notes.Checkpoint = NEVER
    ) -> str | None:
        """Countersign another institution's head if it extends the one that the institution was told is known.

        Args:
            origin: The ledger of the institution that sent it, from the roster: it vouches for no other.
            note: Its signed checkpoint; "" for an empty ledger.
            proof: Consistency from `since`.
            public: Its raw Ed25519 public key, from the roster.
            since: The head of it that this institution said it knows.

        Returns:
            The signature line to append to the note. None where there is nothing to sign, or where a newer
            head was countersigned meanwhile (in another run).

        Raises:
            IntegrityError: Another ledger's head, a bad signature, a shrunk ledger, or a fork.
        """
        if not note:
            if since.size:
                raise _rolled_back(origin, 0, since.size)
            return None
        head = notes.parse(note)
        if head.origin != origin:
            raise IntegrityError(f"sent a head of {head.origin}", where=origin, cure="stop the run and audit it")
        notes.verify(note, public)
        if head.size < since.size:
            raise _rolled_back(origin, head.size, since.size)
        if not tree.consistent(since.size, since.root, head.size, head.root, proof):
            raise _forked(origin, head.size, since.size)
        with self._ledger.transaction():
            known = self.known(origin)
            newest = known.head if known else NEVER
            if newest.size == head.size and newest.root != head.root:
                raise _forked(origin, head.size, newest.size)
            if newest.size not in (since.size, head.size):
                return None
            line = notes.cosign(note, self._ledger.origin, self._ledger.key, int(self._ledger.clock()))
            # Remembered before the line is told: a crash may lose the line, never the memory.
            self._ledger.database.execute(
                "INSERT INTO peers VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE "
                "SET size = excluded.size, root = excluded.root, note = excluded.note, key = excluded.key",
                (origin, head.size, head.root, note + line, public),
            )
        return line

    def accept(self, note: str, line: str, name: str, public: bytes) -> None:
        """Keep a countersignature of one of this ledger's own heads.

        Args:
            note: The head as it was sent out (checked against this ledger's own tree).
            line: What the peer's `countersign` returned.
            name: Origin name of the peer.
            public: The peer's raw public key.

        Raises:
            IntegrityError: The head is not ours or the line does not verify.
        """
        head = self._own.get(note) or notes.verify(note, signing.public_bytes(self._ledger.key))
        self._own[note] = head
        if name not in notes.countersigners(note + line, {name: public}):
            raise IntegrityError("is not a countersignature of this head", where=name)
        with self._ledger.transaction():
            if head.size > len(self._ledger) or self._ledger.root(head.size) != head.root:
                raise IntegrityError("head is not from this ledger", where=name)
            query = "SELECT note FROM checkpoints WHERE size = ?"
            row = self._ledger.database.execute(query, (head.size,)).fetchone()
            kept = row[0] if row else note
            if line not in kept:
                replace = "REPLACE INTO checkpoints VALUES (?, ?)"
                self._ledger.database.execute(replace, (head.size, kept + line))


def _rolled_back(origin: str, size: int, seen: int) -> IntegrityError:
    return IntegrityError(
        f"its ledger has {size} entries, and {seen} were seen before: it was rolled back or deleted",
        where=origin,
        cure="ask that institution to put its newest backup back (`afml ledger restore`); "
        "`afml ledger heads` gives it the proof",
    )


def _forked(origin: str, size: int, seen: int) -> IntegrityError:
    return IntegrityError(
        f"its head of {size} entries does not extend the one of {seen} seen before: its ledger was forked",
        where=origin,
        cure="ask for an audit of that ledger; `afml ledger heads` gives the proof",
    )
