"""What a node has agreed with each peer of a run: the secrets that pads are derived from (docs/design/postquantum.md).

By X25519 alone both ends have a pair's secret at once. In a hybrid run the node with the lower number encapsulates to
the other's ML-KEM key, and the other has the secret once that ciphertext has come, beside the tag that confirms it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from afml.core.errors import IntegrityError
from crypto.public.suites import split
from crypto.secret import kem
from crypto.secret.kem import Encapsulated
from crypto.secret.pads import TAG_BYTES, PadKeys, check_confirmation, confirmation_tag

_LABEL = b"afml hybrid pair v1"


@dataclass(frozen=True)
class Place:
    """Where secrets are agreed, which each of them is bound to.

    Attributes:
        node: This node.
        config_digest: Of the run.
        roster_digest: Of the version of the roster that the run is under.
    """

    node: int
    config_digest: bytes
    roster_digest: bytes


class Pairs:
    """This node's agreement with every peer. Never printed, never pickled.

    Args:
        place: Where.
        own: This node's keys of the run.
        publics: Peer -> its public key of the run, checked against its roster entry.
        made: Peer -> what this node has encapsulated to it (`encapsulated`).

    Raises:
        IntegrityError: A peer's key is not usable.
    """

    def __init__(
        self, place: Place, own: PadKeys, publics: Mapping[int, bytes], made: Mapping[int, Encapsulated]
    ) -> None:
        self._place, self._own, self._publics = place, own, dict(publics)
        self._made = {peer: one for peer, one in made.items() if peer in publics}
        self._dh = {peer: own.shared(key, where=f"pad key of node {peer}") for peer, key in publics.items()}
        self._secrets = {peer: self._combined(peer, one) for peer, one in self._made.items()}
        if own.kem is None:
            self._secrets = dict(self._dh)

    @property
    def peers(self) -> tuple[int, ...]:
        """All that this node agrees with, ascending."""
        return tuple(sorted(self._publics))

    @property
    def secrets(self) -> Mapping[int, bytes]:
        """Peer -> the pair's secret, 32 bytes, of those that are agreed; it grows as peers confirm."""
        return MappingProxyType(self._secrets)

    def confirmation(self, peer: int, run_key: bytes) -> bytes:
        """What this node's letter says to a peer: the ciphertext, where it has made one, and its tag.

        Args:
            peer: Who.
            run_key: Derived from the run's key, which the tag confirms too.
        """
        made = self._made.get(peer)
        secret = self._dh[peer] if made is None else self._secrets[peer]
        tag = confirmation_tag(_with(run_key, secret), self._place.config_digest, self._place.node, peer)
        return (b"" if made is None else made.ciphertext) + tag

    def confirm(self, peer: int, said: bytes, run_key: bytes) -> None:
        """Check what a peer's `confirmation` says to this node; where it holds the ciphertext, the pair is agreed.

        Raises:
            IntegrityError: The two hold different secrets, or another key of the run; the message names the peer.
        """
        ciphertext, tag = said[:-TAG_BYTES], said[-TAG_BYTES:]
        secret = self._dh[peer]
        if self._own.kem is not None and peer < self._place.node:
            opened = kem.decapsulate(self._own.kem, ciphertext, where=f"node {peer}")
            secret = self._combined(peer, Encapsulated(opened, ciphertext))
        elif ciphertext:
            raise IntegrityError("sends a ciphertext where none belongs", where=f"node {peer}")
        check_confirmation(tag, _with(run_key, secret), self._place.config_digest, peer, self._place.node)
        self._secrets.setdefault(peer, secret)

    def _combined(self, peer: int, one: Encapsulated) -> bytes:
        place = self._place
        lower, higher = sorted(((place.node, self._own.public), (peer, self._publics[peer])))
        numbers = struct.pack("<2Q", lower[0], higher[0])
        transcript = (place.config_digest, place.roster_digest, numbers, lower[1], higher[1], one.ciphertext)
        return kem.combine(_LABEL, one.secret, self._dh[peer], transcript)

    def __repr__(self) -> str:
        return f"Pairs(node={self._place.node}, peers={list(self.peers)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pairs are never pickled")


def encapsulated(
    node: int, publics: Mapping[int, bytes], before: Mapping[int, Encapsulated]
) -> dict[int, Encapsulated]:
    """What a node of a hybrid run encapsulates: to each peer with a higher number, once.

    Args:
        node: This node.
        publics: Peer -> its public key of the run.
        before: What it made earlier: the first letter stands, so that is what counts.

    Raises:
        IntegrityError: A peer's key is not usable.
    """
    made = dict(before)
    for peer in sorted(set(publics) - set(before)):
        if node < peer:
            made[peer] = kem.encapsulate(split(publics[peer])[0], where=f"pad key of node {peer}")
    return made


def _with(run_key: bytes, secret: bytes) -> bytes:
    return hashlib.sha256(secret + run_key).digest()
