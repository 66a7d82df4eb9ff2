"""Sealing: a message that only the holder of one key can open, or each of several holders.

By X25519: an ephemeral key, HKDF-SHA256 over both public keys and the caller's `info`. Hybrid, where the recipient has
an ML-KEM-768 key of the run too: both secrets, by the combiner of `crypto.secret.kem`. Then ChaCha20-Poly1305 with a
zero nonce: each key encrypts one message. It says nothing about the sender; sign the sealed bytes. A message to
several is encrypted once, under a key drawn for it, and that key is sealed to each. Nothing binds the ciphertext
to one key (the cipher does not commit): a sender could make it open differently for different readers, as it
could with a message to each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from afml.core.errors import IntegrityError
from crypto.public.suites import CIPHERTEXT_BYTES, X25519_BYTES, split
from crypto.secret import kem

_NONCE = bytes(12)
_LABEL = b"afml hybrid seal v1"


@dataclass(frozen=True)
class Shared:
    """A message that was sealed to several: one ciphertext for all, and recipient -> the key to it, sealed."""

    ciphertext: bytes
    keys: Mapping[int, bytes]


def seal(recipient_public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal `plaintext` to a public key, bound to `info`.

    Args:
        recipient_public: X25519, 32 bytes; hybrid, after its ML-KEM key of the run (`crypto.public.suites`).
        plaintext: The message.
        info: What it is for.

    Raises:
        IntegrityError: The recipient's key is malformed or of low order.
    """
    kem_public, dh_public = split(recipient_public)
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    try:
        secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(dh_public))
    except ValueError:
        raise IntegrityError("the recipient's sealing key is not usable", where="roster") from None
    if not kem_public:
        return public + ChaCha20Poly1305(_key(secret, public, dh_public, info)).encrypt(_NONCE, plaintext, info)
    made = kem.encapsulate(kem_public, where="enrolment")
    key = kem.combine(_LABEL, made.secret, secret, (public, made.ciphertext, recipient_public, info))
    return public + made.ciphertext + ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, info)


def open_sealed(
    private: X25519PrivateKey, sealed: bytes, info: bytes, kem_private: MLKEM768PrivateKey | None = None
) -> bytes:
    """The plaintext of `seal`, for the same `info`.

    Args:
        private: The recipient's.
        sealed: What came.
        info: What it is for.
        kem_private: Its ML-KEM key of the run: nothing that is sealed by X25519 alone is opened then.

    Raises:
        IntegrityError: Not sealed to this key, for another purpose, or altered.
    """
    public, rest = sealed[:X25519_BYTES], sealed[X25519_BYTES:]
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
        own = private.public_key().public_bytes_raw()
        if kem_private is None:
            key = _key(secret, public, own, info)
        else:
            ciphertext, rest = rest[:CIPHERTEXT_BYTES], rest[CIPHERTEXT_BYTES:]
            opened = kem_private.decapsulate(ciphertext)
            own = kem_private.public_key().public_bytes_raw() + own
            key = kem.combine(_LABEL, opened, secret, (public, ciphertext, own, info))
        return ChaCha20Poly1305(key).decrypt(_NONCE, rest, info)
    except (ValueError, InvalidTag):
        raise IntegrityError("sealed message does not open with this node's key", where="sealed message") from None


def seal_to_all(publics: Mapping[int, bytes], plaintext: bytes, infos: Mapping[int, bytes]) -> Shared:
    """Seal one message to several recipients.

    Args:
        publics: recipient -> its raw public key.
        plaintext: The message.
        infos: recipient -> what its seal is bound to.

    Raises:
        IntegrityError: A recipient's key is malformed or of low order.
    """
    key = ChaCha20Poly1305.generate_key()
    keys = {recipient: seal(public, key, infos[recipient]) for recipient, public in publics.items()}
    return Shared(ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, None), keys)


def open_shared(
    private: X25519PrivateKey,
    ciphertext: bytes,
    sealed_key: bytes,
    info: bytes,
    kem_private: MLKEM768PrivateKey | None = None,
) -> bytes:
    """The plaintext of `seal_to_all`, from the ciphertext and one recipient's sealed key; else as `open_sealed`.

    Raises:
        IntegrityError: Not sealed to this key, for another purpose, or altered.
    """
    try:
        key = open_sealed(private, sealed_key, info, kem_private)
        return ChaCha20Poly1305(key).decrypt(_NONCE, ciphertext, None)
    except (ValueError, InvalidTag):
        raise IntegrityError("sealed message does not open with this node's key", where="sealed message") from None


def _key(secret: bytes, ephemeral: bytes, recipient: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=ephemeral + recipient, info=b"afml seal v1" + info).derive(
        secret
    )
