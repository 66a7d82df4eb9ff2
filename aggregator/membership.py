"""Who is in the run: whose messages count, and whom it waits for."""

from __future__ import annotations

from typing import Protocol

from afml.consortium import messages
from afml.consortium.overlap import about_overlap
from afml.consortium.reasons import LEAVING, Reason
from afml.consortium.refusal import Refusal
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.store.base import Member, Members
from crypto.public.signing import verify
from crypto.public.suites import require_public_key


class Message(Protocol):
    """What every message of the round protocol begins with."""

    @property
    def run(self) -> str:
        """Name of the run."""

    @property
    def config_digest(self) -> bytes:
        """Digest of its configuration."""

    @property
    def node(self) -> int:
        """Who speaks."""


class Membership:
    """The nodes of one run: messages count of this run only, from a node that is in it, signed by its roster key.

    Attributes:
        names: node -> name of its institution.
    """

    def __init__(self, members: Members, config: RunConfig, roster: Roster) -> None:
        self._members, self._config, self._roster = members, config, roster
        self._digest = config.digest()
        self._absent: set[int] = set()
        self.names = roster.names

    def require_run(self, message: Message) -> None:
        """Check that a message is of this run and of one of its nodes.

        Raises:
            ProtocolError: It is not.
        """
        if message.run != self._config.run or message.config_digest != self._digest:
            raise ProtocolError(f"node {message.node} speaks of another run configuration than run {self._config.run}")
        if message.node not in self._config.enrolled:
            raise ProtocolError(f"node {message.node} is not enrolled in run {message.run}")

    def require_enrolment(self, message: wire.Enrolment) -> None:
        """Check that an enrolment is of this run, by one of its nodes, with a key that its peers can agree by.

        Raises:
            ProtocolError: It is of another run, or of nobody in it.
            IntegrityError: Its signature is not by the key on the roster, or its pad key none of the run's agreement.
        """
        self.require_run(message)
        signed = messages.enrolment(message.run, message.config_digest, message.node, message.pad_key, message.lease)
        self.require_signed(message.node, signed, message.signature)
        where = f"pad key of node {message.node}"
        require_public_key(message.pad_key, self._config.key_agreement, where=where)

    def require_enrolled(self, message: Message) -> Member:
        """Check that the speaker has enrolled, whether or not it has left since.

        Raises:
            ProtocolError: It has not.
        """
        self.require_run(message)
        member = self._members.all().get(message.node)
        if member is None:
            raise ProtocolError(f"node {message.node} has not enrolled")
        return member

    def require_admitted(self, message: Message) -> None:
        """Check that the speaker has enrolled and not left.

        Raises:
            ProtocolError: It has not, or it has left.
        """
        member = self.require_enrolled(message)
        if member.left is not None:
            raise ProtocolError(f"node {message.node} has left run {message.run} ({member.left})")

    def require_writing(self, message: Message, subject: str) -> None:
        """Check that the speaker may send or read letters under a subject: a query for shared people comes before a
        run begins, so those are of everybody in it who has not left.

        Raises:
            ProtocolError: It may not.
        """
        if not about_overlap(subject) or message.node in self._members.all():
            self.require_admitted(message)
        else:
            self.require_run(message)

    def require_signed(self, node: int, signed: bytes, signature: bytes) -> None:
        """Check a node's signature.

        Raises:
            IntegrityError: It is not by the key on the roster.
        """
        try:
            verify(bytes.fromhex(self._roster.member(node).signing_key), signed, signature)
        except IntegrityError:
            raise IntegrityError(f"signature of node {node} does not match its roster key") from None

    def leaving(self, message: wire.LeaveNotice) -> Reason | Refusal:
        """Why a node leaves, or which sum it refuses, by its own signature.

        Raises:
            ProtocolError: It has not enrolled, or refuses no sum of this run.
            IntegrityError: The signature is not the roster key's.
        """
        self.require_enrolled(message)
        reason = Reason.of(message.reason)
        if reason is Reason.SUM_NOT_VERIFIED:
            refusal = Refusal.of(message)
            refusal.check(self._config, self._roster)
            return refusal
        signed = messages.leave(message.run, message.config_digest, message.node, message.reason)
        self.require_signed(message.node, signed, message.signature)
        return reason if reason in LEAVING else Reason.UNSPECIFIED

    def remaining(self) -> set[int]:
        """Nodes that enrolled and have not left."""
        return {node for node, member in self._members.all().items() if member.left is None}

    def possible(self) -> set[int]:
        """Nodes that may still enrol, or have and have not left."""
        return set(self._config.nodes) - {node for node, one in self._members.all().items() if one.left is not None}

    def awaited(self) -> set[int]:
        """Those of them that the run waits for: all but the ones that missed a deadline and were not seen since."""
        return self.remaining() - self._absent

    def missed(self, nodes: set[int]) -> None:
        """These missed a deadline."""
        self._absent |= nodes

    def seen(self, node: int) -> None:
        """This one is there: it is waited for again."""
        self._absent.discard(node)
