"""How the nodes of a run agree on keys: the names that a run file may say, and the public keys that go with them.

A public key of the run is ML-KEM-768's encapsulation key (FIPS 203), where the agreement is hybrid, and then X25519's
(RFC 7748): the order of X-Wing (Barbosa and others, 2024). What is agreed is in `crypto.secret.pairs`.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from afml.core.errors import IntegrityError

KeyAgreement = Literal["x25519-mlkem768", "x25519"]
HYBRID: KeyAgreement = "x25519-mlkem768"
CLASSICAL: KeyAgreement = "x25519"

X25519_BYTES = 32
ENCAPSULATION_KEY_BYTES, CIPHERTEXT_BYTES = 1184, 1088
"""Of ML-KEM-768: FIPS 203, table 3."""
PUBLIC_BYTES: dict[KeyAgreement, int] = {HYBRID: ENCAPSULATION_KEY_BYTES + X25519_BYTES, CLASSICAL: X25519_BYTES}
"""Of a node's public key of the run."""


def split(public: bytes) -> tuple[bytes, bytes]:
    """The ML-KEM half of a public key, b"" where there is none, and its X25519 half."""
    return public[:-X25519_BYTES], public[-X25519_BYTES:]


def require_public_key(public: bytes, agreement: KeyAgreement, *, where: object) -> None:
    """Refuse what is no public key of this agreement: a hybrid one never passes as X25519 alone, nor the reverse.

    Raises:
        IntegrityError: It has another length, or its ML-KEM half fails the check of FIPS 203, section 7.2.
    """
    if len(public) != PUBLIC_BYTES[agreement]:
        raise IntegrityError(
            f"{len(public)} bytes are no public key of {agreement}, by which the run agrees on keys", where=where
        )
    kem, dh = split(public)
    try:
        X25519PublicKey.from_public_bytes(dh)
        if kem:
            MLKEM768PublicKey.from_public_bytes(kem)
    except ValueError:
        raise IntegrityError("is no usable public key", where=where) from None
