"""Letters from node to node through the aggregator: sealed ones it cannot read, open ones it may."""

from __future__ import annotations

from collections.abc import Callable

from afml.consortium import messages
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from crypto.public.signing import verify
from crypto.secret.sealing import open_sealed, seal
from node.client import Client

Waiting = Callable[[], None]
"""Called now and then during a wait; may raise to end it."""


def _patient() -> None:
    """Wait as long as the caller said."""


class Mailbox:
    """One node's letters in one run.

    Args:
        client: Carries them.
        kit: Signs what goes, opens what comes.
        run: The run they are about.
    """

    def __init__(self, client: Client, kit: NodeKit, run: RunConfig) -> None:
        self._client, self._kit, self._run = client, kit, run

    def send_sealed(self, recipient: int, subject: str, body: bytes) -> None:
        """Seal `body` to another node and have the aggregator relay it."""
        public = bytes.fromhex(self._kit.roster.member(recipient).sealing_key)
        self._client.put_letter(recipient, subject, seal(public, body, self._info(self._kit.node, recipient, subject)))

    def receive_sealed(self, sender: int, subject: str, *, wait_s: float, waiting: Waiting = _patient) -> bytes:
        """Wait for a sealed letter from `sender`, check its signature and open it.

        Raises:
            TransportError: It did not come in time.
            IntegrityError: It is not from `sender` or does not open.
        """
        body = self._receive(sender, subject, wait_s, waiting)
        return open_sealed(self._kit.sealing_key, body, self._info(sender, self._kit.node, subject))

    def send_open(self, recipient: int, subject: str, body: bytes) -> None:
        """Have the aggregator relay a letter that anybody may read."""
        self._client.put_letter(recipient, subject, body)

    def receive_open(self, sender: int, subject: str, *, wait_s: float, waiting: Waiting = _patient) -> bytes:
        """Wait for an open letter and check its signature; whoever uses it checks what it says.

        Raises:
            TransportError: It did not come in time.
            IntegrityError: It is not from `sender`.
        """
        return self._receive(sender, subject, wait_s, waiting)

    def _receive(self, sender: int, subject: str, wait_s: float, waiting: Waiting) -> bytes:
        """A letter that `sender` has signed for this node, this run and this subject, and nothing else."""
        header, body = self._client.get_letter(sender, subject, wait_s=wait_s, waiting=waiting)
        # A wrong one is the aggregator's doing: the sender it names has not signed it.
        where = f"letter {subject} for node {self._kit.node}"
        if (header.sender, header.recipient, header.subject) != (sender, self._kit.node, subject):
            raise IntegrityError(f"one expected from node {sender} came from node {header.sender}", where=where)
        if (header.run, header.config_digest) != (self._run.run, self._run.digest()):
            raise IntegrityError("the aggregator delivered one of another run", where=where)
        signed = messages.letter(
            header.run, header.config_digest, header.sender, header.recipient, header.subject, body
        )
        key = bytes.fromhex(self._kit.roster.member(sender).signing_key)
        verify(key, signed, header.signature, where=f"{where}, as the aggregator delivered it")
        return body

    def _info(self, sender: int, recipient: int, subject: str) -> bytes:
        return messages.letter(self._run.run, self._run.digest(), sender, recipient, subject, b"")
