"""Institutions check and countersign each other's ledgers, by letters through the aggregator.

Before a node is ready for its first round, and again after the last, it and every peer

1. greet each other (`Hello`): each shows the last signed head of the *other* that it keeps, so that an institution
   whose ledger was rolled back, deleted or forked finds that out by its own signature; and its own newest head, with
   a proof that it extends what the other countersigned last;
2. send another proof (`Head`) where the other turns out to have countersigned something else last;
3. answer each head with a countersignature (`Line`), which the owner keeps.

A greeting waits for nobody: whoever comes late finds those of the others, and they find its own when an attempt is
about to be spent on.

Everything is signed and public, so letters are not sealed. A head counts for the ledger of the peer that sent
it alone. Letters are stored before they are sent, since the first one under a subject stands: a node that died
goes on where it stood. A peer that does not answer costs its countersignature, and no attempt is spent on
together with a peer that was never met.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Protocol, TypeVar

from pydantic import Field

from afml.consortium.roster import Roster
from afml.core.config import Settings
from afml.core.errors import AfmlError, IntegrityError, TransportError
from afml.core.logging import get_logger
from afml.ledger import checkpoint as notes
from afml.ledger.store import Ledger
from afml.ledger.succession import Handover, handovers, require_key
from afml.ledger.witness import NEVER, Witness
from node.mailbox import Mailbox, Waiting

Body = TypeVar("Body", bound=Settings)
HEX = r"^([0-9a-f]{2})*$"
START, END = "start", "end"


class Head(Settings):
    """The sender's signed head, "" for an empty ledger; a proof that it extends `since` entries; its keys' past."""

    note: str
    since: int = Field(ge=0)
    proof: tuple[Annotated[str, Field(pattern=HEX)], ...]
    handovers: tuple[Handover, ...] = ()


class Hello(Settings):
    """The last head of the recipient's ledger that the sender has countersigned, "" for none; and the sender's own."""

    seen: str
    head: Head


class Line(Settings):
    """A countersignature of the recipient's head; "" where it was not given."""

    text: str


class Letters(Protocol):
    """Keeps what was sent (`node.journal.Letters`)."""

    def letter(self, name: str) -> bytes | None:
        """A letter that was sent, None before."""
        ...

    def keep_letter(self, name: str, body: bytes) -> None:
        """Store one before it is sent."""
        ...


def _patient() -> None:
    """Wait as long as was said."""


class Witnessing:
    """The exchanges of one node in one run.

    Args:
        mailbox: Carries the letters.
        ledger: This institution's.
        roster: Says which ledger and key every peer has.
        letters: Keeps what was sent.

    Attributes:
        met: Peers whose ledger extends what was known of it when this run began, and who know of no other
            history of this one.
    """

    def __init__(self, mailbox: Mailbox, ledger: Ledger, roster: Roster, letters: Letters) -> None:
        self._mailbox, self._ledger, self._roster, self._letters = mailbox, ledger, roster, letters
        self._witness = Witness(ledger)
        self._log = get_logger()
        self.met: set[int] = set()

    def meet(self, peers: Sequence[int], *, wait_s: float, waiting: Waiting = _patient) -> None:
        """Check heads both ways before anything is spent; `met` grows by those who answered in time.

        Args:
            peers: The other nodes; those met before are left alone.
            wait_s: Seconds for the letters of each of the three steps.
            waiting: Called now and then meanwhile; may raise to end it.

        Raises:
            IntegrityError: A peer's ledger was rolled back or forked, or this one was.
        """
        self._exchange(START, [peer for peer in peers if peer not in self.met], wait_s, waiting)

    def part(self, peers: Sequence[int], *, wait_s: float = 30.0) -> list[int]:
        """Countersign the peers' heads, and collect their countersignatures of this ledger's newest one.

        Args:
            peers: The other nodes of the last cohort.
            wait_s: Seconds for the letters of each of the three steps.

        Returns:
            The peers whose countersignature is now kept.

        Raises:
            IntegrityError: A peer's ledger was rolled back or forked, or this one was.
        """
        answered, deadline = self._exchange(END, peers, wait_s, _patient), time.monotonic() + wait_s
        lines = {peer: self._receive(peer, f"{END}-line", Line, _left(deadline), _patient) for peer in answered}
        return [peer for peer, line in lines.items() if line and self._accept(END, peer, line)]

    def _exchange(self, moment: str, peers: Sequence[int], wait_s: float, waiting: Waiting) -> list[int]:
        """Greet, check, countersign; the peers that were heard."""
        waiting()
        for peer in peers:
            self._send_once(peer, f"{moment}-hello", partial(self._hello, moment, peer))
        deadline = time.monotonic() + wait_s
        heard: dict[int, Hello] = {}
        for peer in peers:
            hello = self._receive(peer, f"{moment}-hello", Hello, _left(deadline), waiting)
            if hello is not None:
                heard[peer] = hello
                self._require_past(moment, peer, hello.seen)
        waiting()
        for peer, hello in heard.items():
            if (size := _size(hello.seen)) != self._sent_hello(moment, peer).head.since:
                self._send_once(peer, f"{moment}-head", partial(self._head, size))
        # A peer that is away uses up the time of its own step, not that of those who have come.
        deadline = time.monotonic() + wait_s
        for peer, hello in heard.items():
            head: Head | None = hello.head
            if hello.head.note and hello.head.since != _size(self._sent_hello(moment, peer).seen):
                head = self._receive(peer, f"{moment}-head", Head, _left(deadline), waiting)
            if head is not None:
                self._countersign(moment, peer, head)
                self.met.add(peer)
        return list(heard)

    def _require_past(self, moment: str, peer: int, note: str) -> None:
        """Whether what a peer holds of this ledger, and what was sent before a restart, is part of it."""
        shown = [(note, f"node {peer}"), *((sent, "this run") for sent in self._sent_notes(moment, peer))]
        for head, holder in shown:
            try:
                if head:
                    self._witness.require_past(head)
            except IntegrityError as error:
                where = f"{error.where}, by what {holder} holds"
                raise IntegrityError(error.problem, where=where, cure=error.cure) from None

    def _hello(self, moment: str, peer: int) -> Hello:
        known = self._witness.known(self._origin(peer))
        if moment == END and self._letters.letter(f"{START}-hello-{peer}"):
            since = _size(self._sent_hello(START, peer).head.note)
        else:
            since = self._witness.vouched_by(self._origin(peer), self._key(peer))
        return Hello(seen=known.note if known else "", head=self._head(since))

    def _head(self, since: int) -> Head:
        note = self._ledger.checkpoint()
        size = _size(note)
        since = min(since, size)  # of a ledger that lacks what was countersigned, its owner hears from the peers
        proof = self._witness.proof(since, size)
        keys = tuple(handovers(self._ledger, size))
        return Head(note=note, since=since, proof=tuple(step.hex() for step in proof), handovers=keys)

    def _sent_hello(self, moment: str, peer: int) -> Hello:
        return Hello.model_validate_json(self._letters.letter(f"{moment}-hello-{peer}") or b"")

    def _sent_notes(self, moment: str, peer: int) -> list[str]:
        """Heads of this ledger that a peer was sent at a moment."""
        again = self._letters.letter(f"{moment}-head-{peer}")
        sent = [self._sent_hello(moment, peer).head, *([Head.model_validate_json(again)] if again else [])]
        return [head.note for head in sent if head.note]

    def _countersign(self, moment: str, peer: int, head: Head) -> None:
        """Check a peer's head against the one that it was shown, and answer it."""
        shown = self._sent_hello(moment, peer).seen
        since = notes.parse(shown) if shown else NEVER
        steps = [bytes.fromhex(step) for step in head.proof]
        origin, key = self._origin(peer), self._key(peer)
        members = {member.origin: bytes.fromhex(member.signing_key) for member in self._roster.members}
        try:
            if head.note:
                require_key(self._ledger, origin, head.note, key, head.handovers, members)
            line = self._witness.countersign(origin, head.note, steps, key, since)
        except IntegrityError as error:
            raise IntegrityError(error.problem, where=f"node {peer}, {error.where}", cure=error.cure) from None
        self._mailbox.send_open(peer, f"{moment}-line", Line(text=line or "").canonical())

    def _accept(self, moment: str, peer: int, line: Line) -> bool:
        for note in self._sent_notes(moment, peer) if line.text else ():
            try:
                self._witness.accept(note, line.text, self._origin(peer), self._key(peer))
                return True
            except AfmlError as error:  # of another head, or worth nothing: no reason to give a run up
                self._log.warning("no countersignature", peer=peer, problem=str(error))
        return False

    def _send_once(self, peer: int, subject: str, body: Callable[[], Settings]) -> None:
        name = f"{subject}-{peer}"
        stored = self._letters.letter(name)
        if stored is None:
            stored = body().canonical()
            self._letters.keep_letter(name, stored)
        self._mailbox.send_open(peer, subject, stored)

    def _receive(self, peer: int, subject: str, kind: type[Body], wait_s: float, waiting: Waiting) -> Body | None:
        try:
            body = self._mailbox.receive_open(peer, subject, wait_s=wait_s, waiting=waiting)
        except TransportError as error:
            self._log.warning("no countersignature", peer=peer, problem=str(error))
            return None
        try:
            return kind.model_validate_json(body)
        except ValueError:
            raise IntegrityError(f"letter of node {peer} is malformed", where=subject) from None

    def _origin(self, peer: int) -> str:
        return self._roster.member(peer).origin

    def _key(self, peer: int) -> bytes:
        return bytes.fromhex(self._roster.member(peer).signing_key)


def _size(note: str) -> int:
    return notes.parse(note).size if note else 0


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
