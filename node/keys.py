"""Keys of one run: this node's pad key, its pair secrets with every peer, and the backend's shared key.

One node makes the shared key and seals a copy to each roster key; the next in line does where that one is lost before
all copies are with the aggregator (`node.makers`), which relays letters that it cannot open. Pairwise confirmation tags
show that both ends of every pair of a cohort hold the same pad secret and the same shared key before anything is
encrypted for it. In a hybrid run the letter with the tag also carries what one of a pair encapsulated to the other,
which alone confirms the ML-KEM half (docs/design/postquantum.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
from crypto.public.suites import HYBRID, KeyAgreement, require_public_key, split
from crypto.secret import kem
from crypto.secret.backend import Backend
from crypto.secret.pads import PadKeys
from crypto.secret.pairs import Pairs, Place, encapsulated
from node.client import Client
from node.journal import Journal
from node.makers import MakingParty, made_for_all

CONFIRMATION = "confirmation"  # subject of letters
PAD, PAIRS, SHARED, OFFERED = "pad", "pairs", "ckks", "ckks-offered"  # names in the journal


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
    pairs: Pairs

    def digest_of(self, model: bytes, sums: bytes) -> bytes:
        """Keyed digest of a model and of the sums in it: equal at all nodes, meaningless to the aggregator. 32 bytes.

        Args:
            model: Its digest.
            sums: See `node.agreement.with_sum`.
        """
        mac = hmac.HMAC(self._derive(b"model digest"), hashes.SHA256())
        mac.update(hashlib.sha256(model).digest() + sums)
        return mac.finalize()

    @property
    def sum_check(self) -> bytes:
        """What coefficients of check values come from (`crypto.secret.sumcheck`), 32 bytes."""
        return self._derive(b"sum check")

    def confirmation(self, peer: int) -> bytes:
        """What tells a peer that this node holds the pair's pad secret and the run's key (`Pairs.confirmation`)."""
        return self.pairs.confirmation(peer, self._derive(b"confirm"))

    def confirm(self, peer: int, said: bytes) -> None:
        """Check what a peer's `confirmation` says to this node.

        Raises:
            IntegrityError: It holds other keys; the message names it.
        """
        self.pairs.confirm(peer, said, self._derive(b"confirm"))

    def _derive(self, label: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"afml run key v1 " + label).derive(self.shared)

    def __repr__(self) -> str:
        return "RunKeys(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("run keys are never pickled")


def pad_keys(journal: Journal, agreement: KeyAgreement) -> PadKeys:
    """This run's pad key pair, made once and kept until the run ends."""
    stored = journal.key(PAD)
    if stored is None:
        stored = PadKeys.generate(agreement).serialise()
        journal.keep_key(PAD, stored)
    return PadKeys.load(stored)


def verified_peers(enrolments: Iterable[wire.Enrolment], config: RunConfig, roster: Roster) -> dict[int, bytes]:
    """node -> pad public key, each checked against the roster.

    Raises:
        IntegrityError: A pad key is not signed by its node's roster key, or not of the run's key agreement.
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
        where = f"pad key of node {entry.node}"
        verify(key, signed, entry.signature, where=where)
        require_public_key(entry.pad_key, config.key_agreement, where=where)
        peers[entry.node] = entry.pad_key
    if len(peers) < config.quorum:
        raise ProtocolError(f"{len(peers)} nodes are enrolled, the quorum is {config.quorum}", where="enrolments")
    return peers


def agree(party: KeyParty) -> RunKeys:
    """Derive pair secrets, make or receive the run's key, and send every peer the confirmation of both.

    A node that is ready for an attempt has done this, so `confirm` finds the tags of a cohort at once.
    """
    kit, run, journal, mailbox = party.kit, party.run, party.journal, party.mailbox
    own = pad_keys(journal, run.key_agreement)
    publics = verified_peers(party.client.enrolments(), run, kit.roster)
    if publics.pop(kit.node, None) != own.public:
        raise IntegrityError("the aggregator lists another pad key for this node", where="enrolments")
    pairs = _agreed(party, own, publics)
    shared = journal.key(SHARED)
    if shared is None:
        shared = made_for_all(party, RUN_KEY, set(publics), lambda: _made_here(party))
        journal.keep_key(SHARED, shared)
    keys = RunKeys(shared, pairs)
    mailbox.send_open({peer: keys.confirmation(peer) for peer in publics}, CONFIRMATION)
    return keys


def _agreed(party: KeyParty, own: PadKeys, publics: dict[int, bytes]) -> Pairs:
    """What this node agrees with its peers by itself; what it encapsulates is stored before anything of it is sent."""
    kit, run, journal = party.kit, party.run, party.journal
    made: dict[int, kem.Encapsulated] = {}
    if run.key_agreement == HYBRID:
        stored = journal.key(PAIRS)
        before = {} if stored is None else kem.from_bytes(stored, where=f"run {run.run}")
        made = encapsulated(kit.node, publics, before)
        if made != before:
            journal.keep_key(PAIRS, kem.to_bytes(made))
        party.mailbox.hold(own, {peer: split(public)[0] for peer, public in publics.items()})
    return Pairs(Place(kit.node, run.digest(), kit.roster.digest()), own, publics, made)


def _made_here(party: KeyParty) -> bytes:
    """The shared key that this node offers, the same one after a restart."""
    made = party.journal.key(OFFERED)
    if made is None:
        made = party.backend.make_key(run_params(party.run))
        party.journal.keep_key(OFFERED, made)
    return made


def confirm(party: KeyParty, keys: RunKeys, peers: Iterable[int]) -> None:
    """Check that these peers hold the same pad secret and the same run key; then pads can be made with them.

    Raises:
        TransportError: A peer's tag is not there.
        IntegrityError: A peer holds other keys; the message names it.
        ProtocolError: The aggregator listed other peers when the keys were agreed.
    """
    asked = sorted(peers)
    for peer in asked:
        if peer not in keys.pairs.peers:
            raise ProtocolError(f"node {peer} is in the cohort but did not enrol", where="pad keys")
    letters = party.mailbox.receive_open(asked, CONFIRMATION, wait_s=min(10.0, party.run.deadline_s / 2))
    for peer, letter in letters.items():
        keys.confirm(peer, letter.own)
    if silent := sorted(set(asked) - set(letters)):
        cure = "nothing is lost: the next attempt goes on with those who are there"
        raise TransportError(f"nodes {silent} have not confirmed the keys of the run", where="pad keys", cure=cure)
