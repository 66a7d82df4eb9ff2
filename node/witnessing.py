"""Institutions check and countersign each other's ledgers, by letters through the aggregator.

Before a node is ready for its first round, and again after the last, it and every peer

1. greet each other (`hello`): each shows everybody its newest head, with proofs that it extends what they countersigned
   last; and each peer the last head of *that peer's* ledger that it keeps, so that an institution whose ledger was
   rolled back, deleted or forked finds that out by its own signature;
2. send another proof (`head`) where a peer turns out to have countersigned something else last;
3. remember each other's heads, and after the last round answer each with a countersignature (`line`), which its owner
   keeps.

A greeting waits for nobody: whoever comes late finds those of the others, and they find its own when an attempt is
about to be spent on.

Everything is signed and public, so letters are not sealed. A head counts for the ledger of the peer that sent
it alone. Letters are stored before they are sent, since the first one under a subject stands: a node that died
goes on where it stood. A peer that does not answer costs its countersignature, and no attempt is spent on
together with a peer that was never met. What is remembered of all who have come is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Protocol

from pydantic import Field

from afml.consortium.roster import Roster
from afml.core.config import Settings
from afml.core.errors import AfmlError, IntegrityError, Outdated
from afml.core.logging import get_logger
from afml.ledger import checkpoint as notes
from afml.ledger.store import Ledger
from afml.ledger.succession import Handover, handovers, require_key
from afml.ledger.witness import NEVER, Witness
from node.mailbox import Mailbox, Opened, Waiting

HEX = r"^([0-9a-f]{2})*$"
START, END = "start", "end"


class Head(Settings):
    """What the sender shows of its ledger.

    Attributes:
        note: Its signed head, "" for an empty ledger.
        proofs: Entries -> proof that the head extends so many.
        handovers: Its keys' past.
    """

    note: str
    proofs: dict[Annotated[int, Field(ge=0)], tuple[Annotated[str, Field(pattern=HEX)], ...]]
    handovers: tuple[Handover, ...] = ()


class Hello(Settings):
    """A greeting as it was sent: to each peer, the last head of its ledger that is kept here, "" for none."""

    head: Head
    seen: dict[int, str]


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
        self._past: set[str] = set()  # heads that were found to be part of this ledger
        self._said: set[str] = set()  # greetings that this process has sent
        self._shown: dict[str, list[str]] = {}  # moment -> heads of this ledger that peers were shown
        self.met: set[int] = set()

    def meet(self, peers: Sequence[int], *, wait_s: float, waiting: Waiting = _patient) -> None:
        """Check heads both ways before anything is spent; `met` grows by those who answered in time.

        Args:
            peers: The other nodes; those met before are left alone. The first time, all of the run.
            wait_s: Seconds for the letters of each of the two steps.
            waiting: Called now and then meanwhile; may raise to end it.

        Raises:
            IntegrityError: A peer's ledger was rolled back or forked.
            Outdated: This one was.
        """
        hello = self._greet(START, peers)
        self._exchange(START, hello, [peer for peer in peers if peer not in self.met], wait_s, waiting)

    def part(self, peers: Sequence[int], *, wait_s: float = 30.0) -> list[int]:
        """Countersign the peers' heads, and collect their countersignatures of this ledger's newest one.

        Args:
            peers: The other nodes of the last cohort.
            wait_s: Seconds for the letters of each of the three steps.

        Returns:
            The peers whose countersignature is now kept.

        Raises:
            IntegrityError: A peer's ledger was rolled back or forked.
            Outdated: This one was.
        """
        hello = self._greet(END, peers)
        lines = self._exchange(END, hello, peers, wait_s, _patient)
        self._mailbox.send_open({peer: line.encode() for peer, line in lines.items()}, f"{END}-line")
        answers = self._receive(sorted(lines), f"{END}-line", wait_s, _patient)
        with self._ledger.transaction():
            return [peer for peer, answer in answers.items() if self._accept(peer, _text(peer, answer.own))]

    def _greet(self, moment: str, peers: Sequence[int]) -> Hello:
        """Say hello, the same after a restart; what was said."""
        name = f"{moment}-hello"
        hello = Hello.model_validate_json(self._once(name, lambda: self._hello(moment, peers)))
        self._shown[moment] = [hello.head.note]
        if name not in self._said:
            own = {peer: seen.encode() for peer, seen in hello.seen.items()}
            self._mailbox.send_open(own, name, hello.head.canonical())
            self._said.add(name)
        return hello

    def _exchange(
        self, moment: str, hello: Hello, peers: Sequence[int], wait_s: float, waiting: Waiting
    ) -> dict[int, str]:
        """Check, remember, countersign: peer -> line, "" where there is nothing to sign, of those that were heard."""
        waiting()
        self._require_past("this run", hello.head.note)
        greeted = [peer for peer in peers if peer in hello.seen]
        heads, wanted = dict[int, Head](), set[int]()
        for peer, letter in self._receive(greeted, f"{moment}-hello", wait_s, waiting).items():
            heads[peer], seen = _head(peer, letter.common), _text(peer, letter.own)
            self._require_past(f"node {peer}", seen)
            wanted.add(_size(seen))
        waiting()
        for size in sorted(wanted - set(hello.head.proofs)):
            self._prove(moment, size, hello.seen)
        # A peer that is away uses up the time of its own step, not that of those who have come.
        unproven: dict[int, list[int]] = {}
        for peer, head in heads.items():
            if head.note and (size := _size(hello.seen[peer])) not in head.proofs:
                unproven.setdefault(size, []).append(peer)
        for size, late in sorted(unproven.items()):
            again = self._receive(late, f"{moment}-head-{size}", wait_s, waiting)
            heads |= {peer: _head(peer, letter.common) for peer, letter in again.items()}
            for peer in set(late) - set(again):
                del heads[peer]
        return self._countersign(hello, heads)

    def _require_past(self, holder: str, note: str) -> None:
        """Whether what a peer holds of this ledger, or what was sent before a restart, is part of it."""
        if not note or note in self._past:
            return
        try:
            self._witness.require_past(note)
        except IntegrityError as error:
            where = f"{error.where}, by what {holder} holds"
            raise Outdated(error.problem, where=where, cure=error.cure) from None
        self._past.add(note)

    def _hello(self, moment: str, peers: Sequence[int]) -> Hello:
        seen = {peer: known.note if (known := self._witness.known(self._origin(peer))) else "" for peer in peers}
        started = self._letters.letter(f"{START}-hello") if moment == END else None
        if started is not None:  # what they were shown, they know
            sizes = {_size(Hello.model_validate_json(started).head.note)}
        else:
            sizes = {self._witness.vouched_by(self._origin(peer), self._key(peer)) for peer in peers}
        return Hello(head=self._head(sizes), seen={peer: notes.bare(note) for peer, note in seen.items()})

    def _head(self, sizes: Collection[int]) -> Head:
        note = notes.bare(self._ledger.checkpoint())
        size = _size(note)
        # Of a ledger that lacks what was countersigned, its owner hears from the peers.
        proofs = {since: self._witness.proof(min(since, size), size) for since in {0, *sizes}}
        steps = {since: tuple(step.hex() for step in proof) for since, proof in proofs.items()}
        return Head(note=note, proofs=steps, handovers=tuple(handovers(self._ledger, size)))

    def _prove(self, moment: str, size: int, peers: Collection[int]) -> None:
        """Show everybody that this ledger extends so many entries, which somebody has countersigned."""
        name = f"{moment}-head-{size}"
        head = Head.model_validate_json(self._once(name, lambda: self._head({size})))
        self._require_past("this run", head.note)
        self._shown[moment].append(head.note)
        self._mailbox.send_open(dict.fromkeys(peers, b""), name, head.canonical())

    def _countersign(self, hello: Hello, heads: Mapping[int, Head]) -> dict[int, str]:
        """Check the peers' heads against those that they were shown, and remember them, all at once."""
        lines: dict[int, str] = {}
        refused: IntegrityError | None = None
        members = {member.origin: bytes.fromhex(member.signing_key) for member in self._roster.members}
        with self._ledger.transaction():
            for peer, head in heads.items():
                try:
                    lines[peer] = self._line(peer, head, hello.seen[peer], members)
                except IntegrityError as error:  # the others have done nothing wrong
                    where = f"node {peer}, {error.where}"
                    refused = refused or IntegrityError(error.problem, where=where, cure=error.cure)
        self.met |= set(lines)
        if refused is not None:
            raise refused
        return lines

    def _line(self, peer: int, head: Head, shown: str, members: Mapping[str, bytes]) -> str:
        since = notes.parse(shown) if shown else NEVER
        steps = [bytes.fromhex(step) for step in head.proofs.get(since.size, ())]
        origin, key = self._origin(peer), self._key(peer)
        if head.note:
            require_key(self._ledger, origin, head.note, key, head.handovers, members)
        return self._witness.countersign(origin, head.note, steps, key, since) or ""

    def _accept(self, peer: int, line: str) -> bool:
        for note in self._shown[END] if line else ():
            try:
                self._witness.accept(note, line, self._origin(peer), self._key(peer))
                return True
            except AfmlError as error:  # of another head, or worth nothing: no reason to give a run up
                self._log.warning("no countersignature", peer=peer, problem=str(error))
        return False

    def _once(self, name: str, body: Callable[[], Settings]) -> bytes:
        """What was stored under a name, or now is."""
        stored = self._letters.letter(name)
        if stored is None:
            stored = body().canonical()
            self._letters.keep_letter(name, stored)
        return stored

    def _receive(self, peers: Collection[int], subject: str, wait_s: float, waiting: Waiting) -> dict[int, Opened]:
        come = self._mailbox.receive_open(peers, subject, wait_s=wait_s, waiting=waiting)
        for peer in sorted(set(peers) - set(come)):
            self._log.warning("no countersignature", peer=peer, problem=f"no letter {subject} came")
        return come

    def _origin(self, peer: int) -> str:
        return self._roster.member(peer).origin

    def _key(self, peer: int) -> bytes:
        return bytes.fromhex(self._roster.member(peer).signing_key)


def _size(note: str) -> int:
    return notes.parse(note).size if note else 0


def _head(peer: int, common: bytes) -> Head:
    try:
        return Head.model_validate_json(common)
    except ValueError:
        raise IntegrityError("is malformed", where=f"greeting of node {peer}") from None


def _text(peer: int, own: bytes) -> str:
    try:
        return own.decode()
    except ValueError:
        raise IntegrityError("is malformed", where=f"letter of node {peer}") from None
