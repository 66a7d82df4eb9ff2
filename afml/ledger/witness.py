"""Countersignatures: institutions vouch for each other's heads, so that no ledger can fork unseen."""

from __future__ import annotations

from collections.abc import Sequence

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.log import Log
from crypto.public import signing


class Witness:
    """One institution's memory of the others' heads, kept in its own ledger.

    A peer sends its newest head and a `proof` that it extends `seen(origin)`; `countersign` answers with
    one signature line, which the peer keeps by `accept`. The aggregator may carry all of it: every
    piece is signed.
    """

    def __init__(self, ledger: Log) -> None:
        self._ledger = ledger

    def seen(self, origin: str) -> int:
        """Size of the last head of `origin` that this node countersigned; 0 if none."""
        row = self._ledger.database.execute("SELECT size FROM peers WHERE origin = ?", (origin,)).fetchone()
        return row[0] if row else 0

    def proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that this ledger's first `old_size` entries are a prefix of its first `size` (default: all)."""
        return tree.consistency_proof(self._ledger.leaves()[:size], old_size)

    def countersign(self, note: str, proof: Sequence[bytes], public: bytes) -> str:
        """Countersign another institution's head if it extends the last one seen from it.

        Args:
            note: Its signed checkpoint.
            proof: Consistency from size `seen(origin)`.
            public: Its raw Ed25519 public key, from the roster.

        Returns:
            The signature line to append to the note.

        Raises:
            IntegrityError: Bad signature, a shrunk ledger, or a fork.
        """
        head = notes.verify(note, public)
        with self._ledger.transaction():
            query = "SELECT size, root FROM peers WHERE origin = ?"
            row = self._ledger.database.execute(query, (head.origin,)).fetchone() or (0, tree.EMPTY_ROOT)
            if not tree.consistent(row[0], row[1], head.size, head.root, proof):
                raise IntegrityError(
                    f"head of size {head.size} does not extend the one of size {row[0]} seen before",
                    where=head.origin,
                    cure="its ledger was rolled back or forked; stop the run and audit it",
                )
            # Remembered before the signature exists: a crash may lose the line, never the memory.
            self._ledger.database.execute(
                "INSERT INTO peers VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE "
                "SET size = excluded.size, root = excluded.root",
                (head.origin, head.size, head.root),
            )
        return notes.cosign(note, self._ledger.origin, self._ledger.key, int(self._ledger.clock()))

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
        head = notes.verify(note, signing.public_bytes(self._ledger.key))
        if name not in notes.countersigners(note + line, {name: public}):
            raise IntegrityError("is not a countersignature of this head", where=name)
        with self._ledger.transaction():
            leaves = self._ledger.leaves()
            if head.size > len(leaves) or tree.root_of(leaves[: head.size]) != head.root:
                raise IntegrityError("head is not from this ledger", where=name)
            query = "SELECT note FROM checkpoints WHERE size = ?"
            row = self._ledger.database.execute(query, (head.size,)).fetchone()
            kept = row[0] if row else note
            if line not in kept:
                replace = "REPLACE INTO checkpoints VALUES (?, ?)"
                self._ledger.database.execute(replace, (head.size, kept + line))
