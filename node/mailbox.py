"""Letters from a node to others through the aggregator: sealed ones it cannot read, open ones it may.

A letter goes to many at once: a part that all of them get, and a part for each. The sender signs once, over a hash tree
of what each recipient gets, so that every one of them can check its own parts and sees nobody else's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from afml.consortium import messages
from afml.consortium.messages import LetterText
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError, ProtocolError
from afml.ledger import tree
from afml.wire import federation_pb2 as wire
from crypto.public.signing import sign, verify
from crypto.public.suites import HYBRID
from crypto.secret.pads import PadKeys
from crypto.secret.sealing import open_shared, seal_to_all
from node.client import Client

Waiting = Callable[[], None]
"""Called now and then during a wait; may raise to end it."""


def _patient() -> None:
    """Wait as long as the caller said."""


@dataclass(frozen=True)
class Opened:
    """What a letter says to this node: the part that all recipients get, and its own."""

    common: bytes
    own: bytes


class Mailbox:
    """One node's letters in one run.

    Args:
        client: Carries them.
        kit: Signs what goes, opens what comes.
        run: The run they are about.
    """

    def __init__(self, client: Client, kit: NodeKit, run: RunConfig) -> None:
        self._client, self._kit = client, kit
        self._of_run = run.run, run.digest()
        self._hybrid = run.key_agreement == HYBRID
        self._own_kem: MLKEM768PrivateKey | None = None
        self._kems: Mapping[int, bytes] = {}

    def hold(self, own: PadKeys, kems: Mapping[int, bytes]) -> None:
        """Of a hybrid run: seal and open by these keys too, from now on. Before, nothing is sealed or opened.

        Args:
            own: This node's keys of the run.
            kems: Peer -> its ML-KEM key of the run, checked against the roster.
        """
        self._own_kem, self._kems = own.kem, kems

    def send_sealed(self, recipients: Collection[int], subject: str, body: bytes, *, lasting: bool = True) -> None:
        """Seal `body` to other nodes and have the aggregator relay it.

        Args:
            recipients: Who can open it.
            subject: What it is about.
            body: What it says.
            lasting: In a hybrid run, by ML-KEM too: whoever keeps it shall not open it later either.

        Raises:
            ProtocolError: The run is hybrid, and one of them has shown no key for that.
        """
        roster, node = self._kit.roster, self._kit.node
        publics = {one: bytes.fromhex(roster.member(one).sealing_key) for one in recipients}
        if self._hybrid and lasting:
            publics = {one: self._kem_of(one) + public for one, public in publics.items()}
        sealed = seal_to_all(publics, body, {one: self._sealed(node, one, subject) for one in recipients})
        self.send_open(sealed.keys, subject, sealed.ciphertext)

    def receive_sealed(
        self, senders: Collection[int], subject: str, *, wait_s: float, waiting: Waiting = _patient,
        lasting: bool = True,
    ) -> dict[int, bytes]:  # fmt: skip
        """Wait for sealed letters of others, check their signatures and open them; `lasting` as they were sent.

        Returns:
            sender -> body, of those that came in time.

        Raises:
            IntegrityError: One is not from whom it says, or does not open.
            ProtocolError: The run is hybrid, and its keys are not agreed.
        """
        key, node, kem = self._kit.sealing_key, self._kit.node, self._own_kem if lasting else None
        if self._hybrid and lasting and kem is None:
            raise ProtocolError("what is sealed opens by the keys of the run, which are not agreed", where=subject)
        return {
            sender: open_shared(key, letter.common, letter.own, self._sealed(sender, node, subject), kem)
            for sender, letter in self.receive_open(senders, subject, wait_s=wait_s, waiting=waiting).items()
        }

    def send_open(self, own: Mapping[int, bytes], subject: str, common: bytes = b"") -> None:
        """Have the aggregator relay a letter that it may read.

        Args:
            own: recipient -> the part for this one alone.
            subject: The first letter under it stands.
            common: The part for all of them.
        """
        if not own:
            return
        node, (run, digest) = self._kit.node, self._of_run
        leaves = [tree.leaf_hash(messages.own_part(recipient, body)) for recipient, body in sorted(own.items())]
        text = LetterText(hashlib.sha256(common).digest(), tree.root_of(leaves), len(leaves))
        signed = messages.letter(run, digest, node, subject, text)
        header = wire.LetterHeader(
            run=run,
            config_digest=digest,
            sender=node,
            subject=subject,
            signature=sign(self._kit.signing_key, signed),
            size=len(common),
            own=[wire.Own(recipient=recipient, body=body) for recipient, body in sorted(own.items())],
        )
        self._client.put_letter(header, common)

    def receive_open(
        self, senders: Collection[int], subject: str, *, wait_s: float, waiting: Waiting = _patient
    ) -> dict[int, Opened]:
        """Wait for letters of others and check their signatures; whoever uses them checks what they say.

        Returns:
            sender -> what its letter says to this node, of those that came in time.

        Raises:
            IntegrityError: One is not from whom it says, or not what was signed for this node, run and subject.
        """
        if not senders:
            return {}
        come = self._client.get_letters(senders, subject, wait_s=wait_s, waiting=waiting)
        return {sender: self._checked(sender, subject, letter, common) for sender, (letter, common) in come.items()}

    def _checked(self, sender: int, subject: str, letter: wire.Letter, common: bytes) -> Opened:
        node = self._kit.node
        # A wrong one is the aggregator's doing: the sender it names has not signed it.
        where = f"letter {subject} of node {sender} for node {node}, as the aggregator delivered it"
        leaf = tree.leaf_hash(messages.own_part(node, letter.own))
        if not tree.included(leaf, letter.index, letter.count, letter.path, letter.root):
            raise IntegrityError("is not what its sender wrote to this node", where=where)
        text = LetterText(hashlib.sha256(common).digest(), letter.root, letter.count)
        signed = messages.letter(*self._of_run, sender, subject, text)
        verify(bytes.fromhex(self._kit.roster.member(sender).signing_key), signed, letter.signature, where=where)
        return Opened(common, letter.own)

    def _kem_of(self, recipient: int) -> bytes:
        if recipient not in self._kems:
            raise ProtocolError("has shown no key that the run seals by", where=f"node {recipient}")
        return self._kems[recipient]

    def _sealed(self, sender: int, recipient: int, subject: str) -> bytes:
        return messages.sealed_part(*self._of_run, sender, recipient, subject)
