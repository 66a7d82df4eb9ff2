"""Ed25519 signatures (RFC 8032) and the exact bytes that are signed for a chunk."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from afml.core.errors import IntegrityError

SIGNATURE_BYTES = 64


class AnyBinding(Protocol):
    """An attempt of a run by a cohort, which pads and signatures cover: `afml.consortium.attempt.Binding`."""

    @property
    def run(self) -> str:
        """Name of the run."""
        ...

    @property
    def config_digest(self) -> bytes:
        """Digest of the run's configuration, 32 bytes."""
        ...

    @property
    def round(self) -> int:
        """Round of the attempt."""
        ...

    @property
    def number(self) -> int:
        """Number of the attempt within its round."""
        ...

    @property
    def cohort(self) -> tuple[int, ...]:
        """The nodes whose sum will be decrypted."""
        ...


def generate_signing_key() -> Ed25519PrivateKey:
    """A fresh signing key from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The raw public key, 32 bytes."""
    return key.public_key().public_bytes_raw()


def sign(key: Ed25519PrivateKey, message: bytes) -> bytes:
    """The signature of `message`, 64 bytes."""
    return key.sign(message)


def verify(public_raw: bytes, message: bytes, signature: bytes, *, where: object = "signature") -> None:
    """Check a signature by the raw public key `public_raw`.

    Raises:
        IntegrityError: The signature is not of this message by this key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise IntegrityError("signature does not match the roster's key", where=where) from None


def cohort_digest(nodes: Sequence[int]) -> bytes:
    """SHA-256 of the ascending node numbers of a cohort, 32 bytes."""
    ordered = sorted(nodes)
    return hashlib.sha256(b"afml cohort v1" + struct.pack(f"<I{len(ordered)}I", len(ordered), *ordered)).digest()


def chunk_message(binding: AnyBinding, node: int, index: int, count: int, payload: bytes) -> bytes:
    """What `node` signs for chunk `index` of `count`: everything that places the payload, and its digest.

    Fields of variable length carry their length, so no two different chunks or bindings give the same message.
    """
    name, cohort = binding.run.encode(), cohort_digest(binding.cohort)
    return b"".join(
        (
            b"afml chunk v1",
            struct.pack("<I", len(name)),
            name,
            struct.pack("<I", len(binding.config_digest)),
            binding.config_digest,
            struct.pack("<I", len(cohort)),
            cohort,
            struct.pack("<5Q", binding.round, binding.number, node, index, count),
            hashlib.sha256(payload).digest(),
        )
    )
