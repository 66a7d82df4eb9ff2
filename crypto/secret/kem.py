"""Two secrets as one: ML-KEM-768 (FIPS 203) beside X25519, combined so that what holds is the stronger of the two.

`combine` is the combiner of Giacon, Heuer, Poettering (PKC 2018) over HKDF-SHA256: both secrets, then everything that
led to them. docs/design/postquantum.md says what is proven of it, and what is claimed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from afml.core.errors import IntegrityError
from crypto.public.suites import CIPHERTEXT_BYTES

SECRET_BYTES = 32
SEED_BYTES = 64
"""A private key as it is stored: d || z of FIPS 203, algorithm 16."""
_ENTRY = struct.Struct(f"<I{SECRET_BYTES}s{CIPHERTEXT_BYTES}s")


@dataclass(frozen=True, repr=False)
class Encapsulated:
    """A fresh secret, and the ciphertext that tells it to the holder of one key alone. Never printed, never pickled."""

    secret: bytes
    ciphertext: bytes

    def __repr__(self) -> str:
        return "Encapsulated(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("encapsulated secrets are never pickled")


def encapsulate(public: bytes, *, where: object) -> Encapsulated:
    """A fresh secret for the holder of an encapsulation key, 1,184 bytes.

    Raises:
        IntegrityError: It is no such key (FIPS 203, section 7.2).
    """
    try:
        secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
    except ValueError:
        raise IntegrityError("post-quantum key is not usable", where=where) from None
    return Encapsulated(secret, ciphertext)


def decapsulate(private: MLKEM768PrivateKey, ciphertext: bytes, *, where: object) -> bytes:
    """The secret in a ciphertext, 32 bytes; of one that was made for another key, or altered, some other secret.

    Raises:
        IntegrityError: It is not as long as a ciphertext.
    """
    try:
        return private.decapsulate(ciphertext)
    except ValueError:
        raise IntegrityError(
            f"{len(ciphertext)} bytes are no ciphertext of ML-KEM-768: {CIPHERTEXT_BYTES} are", where=where
        ) from None


def combine(label: bytes, kem: bytes, dh: bytes, transcript: Sequence[bytes]) -> bytes:
    """One secret out of two, 32 bytes: HKDF-SHA256 (RFC 5869) without salt.

    Args:
        label: What it is for; no label begins another one.
        kem: Of ML-KEM, 32 bytes.
        dh: Of X25519, 32 bytes.
        transcript: Public keys, ciphertext and what else the secret belongs to; each goes in with its length.
    """
    if (len(kem), len(dh)) != (SECRET_BYTES, SECRET_BYTES):
        raise ValueError("secrets of fixed length only: of others the concatenation would not be unique")
    info = label + b"".join(struct.pack("<I", len(part)) + part for part in transcript)
    return HKDF(algorithm=hashes.SHA256(), length=SECRET_BYTES, salt=None, info=info).derive(kem + dh)


def to_bytes(made: Mapping[int, Encapsulated]) -> bytes:
    """What was encapsulated to whom, to be stored with `write_secret`."""
    return b"".join(_ENTRY.pack(peer, one.secret, one.ciphertext) for peer, one in sorted(made.items()))


def from_bytes(data: bytes, *, where: object) -> dict[int, Encapsulated]:
    """What `to_bytes` wrote.

    Raises:
        IntegrityError: It is something else.
    """
    if len(data) % _ENTRY.size:
        raise IntegrityError("stored secrets of pairs are cut off", where=where)
    entries = [(peer, Encapsulated(secret, text)) for peer, secret, text in _ENTRY.iter_unpack(data)]
    if [peer for peer, _ in entries] != sorted({peer for peer, _ in entries}):
        raise IntegrityError("stored secrets of pairs are not one for each peer", where=where)
    return dict(entries)
