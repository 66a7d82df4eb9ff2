"""Pairwise pads: what makes one node's ciphertext worthless even to a holder of the run's key.

Each pair of nodes (i, j) agrees on a secret by keys made for this run and signed by the nodes' identity keys
(`crypto.secret.pairs`: X25519, or ML-KEM-768 beside it). HKDF-SHA256 over (run configuration digest, round, cohort
digest, attempt) and the pair gives an AES-256-CTR key whose stream is the pad: the lower node adds it to its words
mod 2^T, the higher one subtracts it, so pads cancel in the sum of exactly this cohort (Bonawitz et al. 2017,
without the double mask: a dropout means a new attempt with new pads, never the opening of a pad).

The cohort digest holds the nonce of every member's process, and a process makes pads where its own is there alone. So
two processes with copies of one work folder never make the same pad (docs/design/twins.md).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.packing import centre
from crypto.public.params import CodecParams
from crypto.public.signing import AnyBinding
from crypto.public.suites import CLASSICAL, HYBRID, KeyAgreement, split

TAG_BYTES = 32


class PadKeys:
    """One node's key pair for one run: X25519, and ML-KEM-768 where the run is hybrid. Never printed, never pickled.

    Attributes:
        kem: The ML-KEM half; None by X25519 alone.
    """

    def __init__(self, private: X25519PrivateKey, kem: MLKEM768PrivateKey | None = None) -> None:
        self._private, self.kem = private, kem

    @classmethod
    def generate(cls, agreement: KeyAgreement = CLASSICAL) -> PadKeys:
        """A fresh key pair."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate() if agreement == HYBRID else None)

    @classmethod
    def load(cls, data: bytes) -> PadKeys:
        """The key pair that `serialise` wrote."""
        seed, private = split(data)
        return cls(
            X25519PrivateKey.from_private_bytes(private), MLKEM768PrivateKey.from_seed_bytes(seed) if seed else None
        )

    def serialise(self) -> bytes:
        """The private key, 32 bytes, or 64 of the ML-KEM seed before them; write it with `write_secret`."""
        return (self.kem.private_bytes_raw() if self.kem else b"") + self._private.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """The public key (`crypto.public.suites`)."""
        kem = self.kem.public_key().public_bytes_raw() if self.kem else b""
        return kem + self._private.public_key().public_bytes_raw()

    def shared(self, peer_public: bytes, *, where: object = "pad key") -> bytes:
        """The X25519 secret shared with the holder of `peer_public`, 32 bytes.

        Raises:
            IntegrityError: The peer's key is malformed or of low order (RFC 7748, section 6.1).
        """
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(split(peer_public)[1]))
        except ValueError:
            raise IntegrityError("pad key is not usable", where=where) from None

    def __repr__(self) -> str:
        return "PadKeys(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pad keys are never pickled")


def confirmation_tag(secret: bytes, config_digest: bytes, sender: int, receiver: int) -> bytes:
    """Proof to `receiver` that `sender` derived the same pair secret in this run, 32 bytes."""
    key = _derive(secret, b"afml pad confirm v1", config_digest, struct.pack("<2Q", *sorted((sender, receiver))))
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(struct.pack("<2Q", sender, receiver))
    return mac.finalize()


def check_confirmation(tag: bytes, secret: bytes, config_digest: bytes, sender: int, receiver: int) -> None:
    """Check the tag that `sender` made for `receiver`.

    Raises:
        IntegrityError: The two nodes hold different secrets; the message names the peer.
    """
    if not bytes_eq(tag, confirmation_tag(secret, config_digest, sender, receiver)):
        raise IntegrityError(
            f"node {sender} and this node {receiver} do not share a pad key",
            where=f"node {sender}",
            cure="somebody altered a pad key on its way; check the roster of both nodes",
        )


@dataclass(frozen=True)
class Pads:
    """This node's pair secrets of one run; not shown in a repr, never pickled.

    Attributes:
        node: This node.
        config_digest: Digest of the run's configuration.
        secrets: Peer node -> pair secret (`crypto.secret.pairs.Pairs.secrets`).
        lease: The nonce of this process, drawn when it started and never stored; b"" where all nodes share a process.
    """

    node: int
    config_digest: bytes
    secrets: Mapping[int, bytes]
    lease: bytes = b""

    def words(self, binding: AnyBinding, chunks: range, params: CodecParams) -> NDArray[np.int64]:
        """The sum of this node's pads for a stretch of chunks.

        Args:
            binding: The attempt and its cohort, this node included.
            chunks: Consecutive chunk indices.
            params: Word layout.

        Returns:
            Centred words mod 2^T, int64 [len(chunks), 2, slots]; summed over the cohort they are 0 mod 2^T.

        Raises:
            ProtocolError: The attempt is of another run, this node is not in the cohort, a node is listed twice, a
                pair secret is absent, or another process has joined the attempt for this node.
        """
        total = np.zeros((len(chunks), 2, params.slots), dtype=np.int64)
        for peer in self._peers(binding):
            total += self.pair(peer, binding, chunks, params)
        return centre(total, params.total_bits)

    def pair(self, peer: int, binding: AnyBinding, chunks: range, params: CodecParams) -> NDArray[np.int64]:
        """What this node adds on account of one peer; the peer adds its negative mod 2^64, and 2^T divides 2^64.

        Args and shape as `words`.
        """
        key = self._pair_key(peer, binding, b"afml pad v1")
        stream = _keystream(key, chunks, (len(chunks), 2, params.slots)).view(np.int64)
        return stream if self.node < peer else -stream

    def element(self, binding: AnyBinding, prime: int) -> int:
        """The sum of this node's pads of an attempt in the field of `prime`, of at most 128 bits.

        Summed over the cohort they are 0. Each is 256 bits mod `prime`: 2^-128 away from uniform at most.

        Raises:
            ProtocolError: As `words`.
        """
        total = 0
        for peer in self._peers(binding):
            pad = int.from_bytes(self._pair_key(peer, binding, b"afml field pad v1"), "little")
            total += pad if self.node < peer else -pad
        return total % prime

    def _peers(self, binding: AnyBinding) -> list[int]:
        """The others of a cohort, once it is one that this process may make pads for; errors as `words`."""
        where = f"round {binding.round}"
        if binding.config_digest != self.config_digest:
            raise ProtocolError("these pads are of another run", where=where)
        if self.node not in binding.cohort or len(set(binding.cohort)) != len(binding.cohort):
            raise ProtocolError(f"cohort does not list node {self.node} once", where=where)
        if binding.lease(self.node) != self.lease:
            raise ProtocolError(f"another process has joined this attempt for node {self.node}", where=where)
        peers = sorted(set(binding.cohort) - {self.node})
        if missing := [peer for peer in peers if peer not in self.secrets]:
            raise ProtocolError(f"no pad key of node {missing[0]}", where=where, cure="start a new attempt without it")
        return peers

    def _pair_key(self, peer: int, binding: AnyBinding, label: bytes) -> bytes:
        pair = struct.pack("<2Q", *sorted((self.node, peer)))
        context = struct.pack("<2Q", binding.round, binding.number) + binding.cohort_digest
        return _derive(self.secrets[peer], label, self.config_digest, context + pair)

    def __repr__(self) -> str:
        return f"Pads(node={self.node}, peers={sorted(self.secrets)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pads are never pickled")


def _derive(secret: bytes, label: bytes, config_digest: bytes, rest: bytes) -> bytes:
    info = label + struct.pack("<I", len(config_digest)) + config_digest + rest
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def _keystream(key: bytes, chunks: range, shape: tuple[int, int, int]) -> NDArray[np.uint64]:
    """AES-256-CTR words of the chunks; a chunk starts at a fixed block, so any stretch can be made alone."""
    words = shape[1] * shape[2]  # per chunk; two 8-byte words a block
    counter = (chunks.start * words // 2).to_bytes(16, "big")
    stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(8 * words * len(chunks)))
    return np.frombuffer(stream, dtype="<u8").reshape(shape)
