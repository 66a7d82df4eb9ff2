"""Institutions countersign each other's ledgers, by letters through the aggregator.

Each node tells every peer how much of the peer's ledger it has seen, sends each peer its newest head with a
proof that it extends that, and answers each head with a countersignature. Everything is signed and public,
so letters are not sealed. A peer that does not answer costs its countersignature, not the run; a head that
does not extend what was seen is a fork or a rollback, and ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import Field

from afml.consortium.roster import Roster
from afml.core.config import Settings
from afml.core.errors import IntegrityError, TransportError
from afml.core.logging import get_logger
from afml.ledger.checkpoint import origin_of
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from node.mailbox import Mailbox

Body = TypeVar("Body", bound=Settings)
HEX = r"^([0-9a-f]{2})*$"


class Seen(Settings):
    """How many entries of the recipient's ledger the sender has countersigned."""

    size: int = Field(ge=0)


class Head(Settings):
    """The sender's newest signed head, "" for an empty ledger, and its consistency proof (hex hashes)."""

    note: str
    proof: tuple[Annotated[str, Field(pattern=HEX)], ...]


class Line(Settings):
    """A countersignature of the recipient's head."""

    text: str


class Witnessing:
    """One exchange of countersignatures among the nodes of a run."""

    def __init__(self, mailbox: Mailbox, ledger: Ledger, roster: Roster, *, wait_s: float = 30.0) -> None:
        """`wait_s`: seconds to wait for each letter of a peer."""
        self._mailbox, self._ledger, self._roster, self._wait = mailbox, ledger, roster, wait_s
        self._witness = Witness(ledger)
        self._log = get_logger()

    def exchange(self, moment: str, peers: Sequence[int]) -> list[int]:
        """Countersign the peers' heads and collect their countersignatures of this ledger's newest one.

        Args:
            moment: Names the exchange within the run; each may happen once.
            peers: The other nodes.

        Returns:
            The peers whose countersignature is now kept.

        Raises:
            IntegrityError: A peer's ledger was rolled back or forked, or a signature is wrong.
        """
        note, size = self._ledger.checkpoint(), len(self._ledger)
        for peer in peers:
            self._send(peer, f"{moment}-seen", Seen(size=self._witness.seen(self._origin(peer))))
        for peer in peers:
            seen = self._receive(peer, f"{moment}-seen", Seen)
            if seen is not None:
                proof = self._witness.proof(min(seen.size, size), size) if size else []
                self._send(peer, f"{moment}-head", Head(note=note, proof=tuple(step.hex() for step in proof)))
        for peer in peers:
            head = self._receive(peer, f"{moment}-head", Head)
            if head is not None and head.note:
                steps = [bytes.fromhex(step) for step in head.proof]
                line = self._witness.countersign(head.note, steps, self._key(peer))
                self._send(peer, f"{moment}-line", Line(text=line))
        kept = []
        for peer in peers if note else ():
            line_of_peer = self._receive(peer, f"{moment}-line", Line)
            if line_of_peer is not None:
                self._witness.accept(note, line_of_peer.text, self._origin(peer), self._key(peer))
                kept.append(peer)
        return kept

    def _send(self, peer: int, subject: str, body: Settings) -> None:
        self._mailbox.send_open(peer, subject, body.canonical())

    def _receive(self, peer: int, subject: str, kind: type[Body]) -> Body | None:
        try:
            body = self._mailbox.receive_open(peer, subject, wait_s=self._wait)
        except TransportError as error:
            self._log.warning("no countersignature", peer=peer, problem=str(error))
            return None
        try:
            return kind.model_validate_json(body)
        except ValueError:
            raise IntegrityError(f"letter of node {peer} is malformed", where=subject) from None

    def _origin(self, peer: int) -> str:
        return origin_of(self._roster.consortium, peer)

    def _key(self, peer: int) -> bytes:
        return bytes.fromhex(self._roster.member(peer).signing_key)
