"""Keys of one run: this node's pad key, its pair secrets with every peer, and the shared CKKS key.

The lowest-numbered node makes the CKKS key and seals a copy to each roster key; the aggregator relays
letters it cannot open. Pairwise confirmation tags show that both ends of every pair of a cohort hold the
same pad secret and the same CKKS key before anything is encrypted for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from afml.core.errors import IntegrityError, ProtocolError
from afml.core.run import Roster, RunConfig
from afml.wire import federation_pb2 as wire
from crypto.public import messages
from crypto.public.params import CodecParams
from crypto.public.signing import verify
from crypto.secret.ckks import RunKey
from crypto.secret.nodekit import NodeKit
from crypto.secret.pads import PadKeys, check_confirmation, confirmation_tag
from crypto.secret.sealing import open_sealed, seal
from node.client import Client
from node.journal import Journal

RUN_KEY, CONFIRMATION = "run-key", "confirmation"


@dataclass(frozen=True, repr=False)
class RunKeys:
    """Everything secret that a run needs. Never printed, never pickled."""

    ckks: bytes
    pad_secrets: Mapping[int, bytes]

    def run_key(self, params: CodecParams) -> RunKey:
        """The CKKS key for a phase's codec parameters (one secret polynomial, any word layout)."""
        return RunKey.load(params, self.ckks)

    def digest_of(self, state: bytes) -> bytes:
        """Keyed digest of a model: equal at all nodes, meaningless to the aggregator. 32 bytes."""
        mac = hmac.HMAC(self._derive(b"model digest"), hashes.SHA256())
        mac.update(hashlib.sha256(state).digest())
        return mac.finalize()

    def pair_secret(self, peer: int) -> bytes:
        """The pair's pad secret bound to the CKKS key, for key confirmation."""
        return hashlib.sha256(self.pad_secrets[peer] + self._derive(b"confirm")).digest()

    def _derive(self, label: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"afml run key v1 " + label).derive(self.ckks)

    def __repr__(self) -> str:
        return "RunKeys(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("run keys are never pickled")


def pad_keys(journal: Journal) -> PadKeys:
    """This run's pad key pair, made once and kept until the run ends."""
    stored = journal.key("pad")
    if stored is None:
        stored = PadKeys.generate().serialise()
        journal.keep_key("pad", stored)
    return PadKeys.load(stored)


def verified_peers(
    enrolments: Iterable[wire.Enrolment], config: RunConfig, roster: Roster
) -> dict[int, bytes]:
    """node -> pad public key, each checked against the roster.

    Raises:
        IntegrityError: A pad key is not signed by its node's roster key.
        ProtocolError: A node is listed twice, is unknown, or too few are listed.
    """
    peers: dict[int, bytes] = {}
    for entry in enrolments:
        if entry.node not in config.enrolled or entry.node in peers:
            raise ProtocolError(f"the aggregator lists node {entry.node} wrongly", where="enrolments")
        if (entry.run, entry.config_digest) != (config.run, config.digest()):
            raise ProtocolError(f"enrolment of node {entry.node} is for another run", where="enrolments")
        signed = messages.enrolment(entry.run, entry.config_digest, entry.node, entry.pad_key)
        key = bytes.fromhex(roster.member(entry.node).signing_key)
        verify(key, signed, entry.signature, where=f"pad key of node {entry.node}")
        peers[entry.node] = entry.pad_key
    if len(peers) < config.quorum:
        raise ProtocolError(
            f"{len(peers)} nodes are enrolled, the quorum is {config.quorum}", where="enrolments"
        )
    return peers


def send_sealed(
    client: Client, kit: NodeKit, config: RunConfig, recipient: int, subject: str, body: bytes
) -> None:
    """Seal `body` to another node and have the aggregator relay it."""
    public = bytes.fromhex(kit.roster.member(recipient).sealing_key)
    client.put_letter(recipient, subject, seal(public, body, _info(config, kit.node, recipient, subject)))


def receive_sealed(
    client: Client, kit: NodeKit, config: RunConfig, sender: int, subject: str, *, wait_s: float,
    waiting: Callable[[], None] = lambda: None,
) -> bytes:  # fmt: skip
    """Wait for a sealed letter from `sender`, check its signature and open it; `waiting` may end the wait.

    Raises:
        IntegrityError: It is not from `sender` or does not open.
    """
    header, body = client.get_letter(sender, subject, wait_s=wait_s, waiting=waiting)
    signed = messages.letter(
        header.run, header.config_digest, header.sender, header.recipient, header.subject, body
    )
    if (header.sender, header.recipient, header.subject) != (sender, kit.node, subject):
        raise IntegrityError(
            f"a letter expected from node {sender} came from node {header.sender}", where=subject
        )
    if (header.run, header.config_digest) != (config.run, config.digest()):
        raise IntegrityError("a letter of another run was delivered", where=subject)
    verify(
        bytes.fromhex(kit.roster.member(sender).signing_key),
        signed,
        header.signature,
        where=f"letter {subject}",
    )
    return open_sealed(kit.sealing_key, body, _info(config, sender, kit.node, subject))


def agree(
    client: Client, kit: NodeKit, config: RunConfig, journal: Journal, params: CodecParams,
    waiting: Callable[[], None] = lambda: None,
) -> RunKeys:  # fmt: skip
    """Derive pair secrets, make or receive the CKKS key, and send every peer the confirmation of both.

    A node that is ready for an attempt has done this, so `confirm` finds the tags of a cohort at once.
    """
    own = pad_keys(journal)
    peers = verified_peers(client.enrolments(), config, kit.roster)
    if peers.get(kit.node) != own.public:
        raise IntegrityError("the aggregator lists another pad key for this node", where="enrolments")
    secrets = {node: own.shared(public) for node, public in peers.items() if node != kit.node}
    maker = min(peers)
    ckks = journal.key("ckks")
    if ckks is None:
        if kit.node == maker:
            ckks = RunKey.generate(params).serialise()
        else:
            ckks = receive_sealed(
                client, kit, config, maker, RUN_KEY, wait_s=config.deadline_s, waiting=waiting
            )
        journal.keep_key("ckks", ckks)
    if kit.node == maker:
        for node in secrets:
            send_sealed(client, kit, config, node, RUN_KEY, ckks)
    keys = RunKeys(ckks, secrets)
    for peer in secrets:
        tag = confirmation_tag(keys.pair_secret(peer), config.digest(), kit.node, peer)
        client.put_letter(peer, CONFIRMATION, tag)
    return keys


def confirm(client: Client, kit: NodeKit, config: RunConfig, keys: RunKeys, peers: Iterable[int]) -> None:
    """Check that these peers hold the same pad secret and the same CKKS key.

    Raises:
        TransportError: A peer's tag is not there.
        IntegrityError: A peer holds other keys; the message names it.
        ProtocolError: The aggregator listed other peers when the keys were agreed.
    """
    wait_s = min(10.0, config.deadline_s / 2)
    for peer in peers:
        if peer not in keys.pad_secrets:
            raise ProtocolError(f"node {peer} is in the cohort but did not enrol", where="pad keys")
        _, tag = client.get_letter(peer, CONFIRMATION, wait_s=wait_s)
        check_confirmation(tag, keys.pair_secret(peer), config.digest(), peer, kit.node)


def _info(config: RunConfig, sender: int, recipient: int, subject: str) -> bytes:
    return messages.letter(config.run, config.digest(), sender, recipient, subject, b"")
