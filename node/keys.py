"""Keys of one run: this node's pad key, its pair secrets with every peer, and the backend's shared key.

One node makes the shared key and seals a copy to each roster key; the next in line does where that one is lost before
all copies are with the aggregator (`node.makers`), which relays letters that it cannot open. Pairwise confirmation tags
show that both ends of every pair of a cohort hold the same pad secret and the same shared key before anything is
encrypted for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from afml.consortium import messages
from afml.consortium.makers import RUN_KEY
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import IntegrityError, ProtocolError, TransportError
from afml.wire import federation_pb2 as wire
from crypto.public.signing import verify
from crypto.secret.backend import Backend
from crypto.secret.pads import PadKeys, check_confirmation, confirmation_tag
from node.client import Client
from node.journal import Journal
from node.makers import MakingParty, made_for_all

CONFIRMATION = "confirmation"  # subject of letters
PAD, SHARED, OFFERED = "pad", "ckks", "ckks-offered"  # names in the journal


class KeyParty(MakingParty, Protocol):
    """What the agreement needs of a node (`node.party.Party`)."""

    @property
    def run(self) -> RunConfig:
        """The run."""
        ...

    @property
    def client(self) -> Client:
        """Its connection."""
        ...

    @property
    def journal(self) -> Journal:
        """Keeps the keys."""
        ...

    @property
    def backend(self) -> Backend:
        """Makes the shared key."""
        ...


@dataclass(frozen=True, repr=False)
class RunKeys:
    """Everything secret that a run needs. Never printed, never pickled."""

    shared: bytes
    pad_secrets: Mapping[int, bytes]

    def digest_of(self, model: bytes, sums: bytes) -> bytes:
        """Keyed digest of a model and of the sums in it: equal at all nodes, meaningless to the aggregator. 32 bytes.

        Args:
            model: Its digest.
            sums: See `node.agreement.with_sum`.
        """
        mac = hmac.HMAC(self._derive(b"model digest"), hashes.SHA256())
        mac.update(hashlib.sha256(model).digest() + sums)
        return mac.finalize()

    def pair_secret(self, peer: int) -> bytes:
        """The pair's pad secret bound to the run's key, for key confirmation."""
        return hashlib.sha256(self.pad_secrets[peer] + self._derive(b"confirm")).digest()

    def _derive(self, label: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"afml run key v1 " + label).derive(self.shared)

    def __repr__(self) -> str:
        return "RunKeys(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("run keys are never pickled")


def pad_keys(journal: Journal) -> PadKeys:
    """This run's pad key pair, made once and kept until the run ends."""
    stored = journal.key(PAD)
    if stored is None:
        stored = PadKeys.generate().serialise()
        journal.keep_key(PAD, stored)
    return PadKeys.load(stored)


def verified_peers(enrolments: Iterable[wire.Enrolment], config: RunConfig, roster: Roster) -> dict[int, bytes]:
    """node -> pad public key, each checked against the roster.

    Raises:
        IntegrityError: A pad key is not signed by its node's roster key.
        ProtocolError: A node is listed twice, is unknown, or too few are listed.
    """
    peers, of_run = dict[int, bytes](), (config.run, config.digest())
    for entry in enrolments:
        if entry.node not in config.enrolled or entry.node in peers:
            raise ProtocolError(f"the aggregator lists node {entry.node} wrongly", where="enrolments")
        if (entry.run, entry.config_digest) != of_run:
            raise ProtocolError(f"enrolment of node {entry.node} is for another run", where="enrolments")
        signed = messages.enrolment(entry.run, entry.config_digest, entry.node, entry.pad_key, entry.lease)
        key = bytes.fromhex(roster.member(entry.node).signing_key)
        verify(key, signed, entry.signature, where=f"pad key of node {entry.node}")
        peers[entry.node] = entry.pad_key
    if len(peers) < config.quorum:
        raise ProtocolError(f"{len(peers)} nodes are enrolled, the quorum is {config.quorum}", where="enrolments")
    return peers


def agree(party: KeyParty) -> RunKeys:
    """Derive pair secrets, make or receive the run's key, and send every peer the confirmation of both.

    A node that is ready for an attempt has done this, so `confirm` finds the tags of a cohort at once.
    """
    kit, run, journal, mailbox = party.kit, party.run, party.journal, party.mailbox
    own = pad_keys(journal)
    peers = verified_peers(party.client.enrolments(), run, kit.roster)
    if peers.get(kit.node) != own.public:
        raise IntegrityError("the aggregator lists another pad key for this node", where="enrolments")
    secrets = {node: own.shared(public) for node, public in peers.items() if node != kit.node}
    shared = journal.key(SHARED)
    if shared is None:
        shared = made_for_all(party, RUN_KEY, set(secrets), lambda: _made_here(party))
        journal.keep_key(SHARED, shared)
    keys = RunKeys(shared, secrets)
    digest = run.digest()
    tags = {peer: confirmation_tag(keys.pair_secret(peer), digest, kit.node, peer) for peer in secrets}
    mailbox.send_open(tags, CONFIRMATION)
    return keys


def _made_here(party: KeyParty) -> bytes:
    """The shared key that this node offers, the same one after a restart."""
    made = party.journal.key(OFFERED)
    if made is None:
        made = party.backend.make_key(run_params(party.run))
        party.journal.keep_key(OFFERED, made)
    return made


def confirm(party: KeyParty, keys: RunKeys, peers: Iterable[int]) -> None:
    """Check that these peers hold the same pad secret and the same run key.

    Raises:
        TransportError: A peer's tag is not there.
        IntegrityError: A peer holds other keys; the message names it.
        ProtocolError: The aggregator listed other peers when the keys were agreed.
    """
    run, asked, digest = party.run, sorted(peers), party.run.digest()
    for peer in asked:
        if peer not in keys.pad_secrets:
            raise ProtocolError(f"node {peer} is in the cohort but did not enrol", where="pad keys")
    letters = party.mailbox.receive_open(asked, CONFIRMATION, wait_s=min(10.0, run.deadline_s / 2))
    for peer, letter in letters.items():
        check_confirmation(letter.own, keys.pair_secret(peer), digest, peer, party.kit.node)
    if silent := sorted(set(asked) - set(letters)):
        cure = "nothing is lost: the next attempt goes on with those who are there"
        raise TransportError(f"nodes {silent} have not confirmed the keys of the run", where="pad keys", cure=cure)
