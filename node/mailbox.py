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
        header, body = self._client.get_letter(sender, subject, wait_s=wait_s, waiting=waiting)
        signed = messages.letter(
            header.run, header.config_digest, header.sender, header.recipient, header.subject, body
        )
        if (header.sender, header.recipient, header.subject) != (sender, self._kit.node, subject):
            raise IntegrityError(f"a letter expected from node {sender} came from node {header.sender}", where=subject)
        if (header.run, header.config_digest) != (self._run.run, self._run.digest()):
            raise IntegrityError("a letter of another run was delivered", where=subject)
        key = bytes.fromhex(self._kit.roster.member(sender).signing_key)
        verify(key, signed, header.signature, where=f"letter {subject}")
        return open_sealed(self._kit.sealing_key, body, self._info(sender, self._kit.node, subject))

    def send_open(self, recipient: int, subject: str, body: bytes) -> None:
        """Have the aggregator relay a letter that anybody may read."""
        self._client.put_letter(recipient, subject, body)

    def receive_open(self, sender: int, subject: str, *, wait_s: float) -> bytes:
        """Wait for an open letter; whoever uses it checks what it says.

        Raises:
            TransportError: It did not come in time.
            IntegrityError: It came from another node.
        """
        header, body = self._client.get_letter(sender, subject, wait_s=wait_s)
        if header.sender != sender:
            raise IntegrityError(f"a letter expected from node {sender} came from node {header.sender}", where=subject)
        return body

    def _info(self, sender: int, recipient: int, subject: str) -> bytes:
        return messages.letter(self._run.run, self._run.digest(), sender, recipient, subject, b"")
