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

    @property
    def cohort_digest(self) -> bytes:
        """See `cohort_digest`."""
        ...

    def lease(self, node: int) -> bytes:
        """The nonce of the process by which a member of the cohort takes part; b"" where nobody has any."""
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


def cohort_digest(nodes: Sequence[int], leases: Sequence[bytes] = ()) -> bytes:
    """SHA-256 of who is in a cohort: the ascending node numbers, and by which process each takes part. 32 bytes.

    Args:
        nodes: Their numbers.
        leases: The nonce of each one's process, in the order of `nodes`; empty where all of them share one process.
    """
    if not leases:
        ordered = sorted(nodes)
        return hashlib.sha256(b"afml cohort v1" + struct.pack(f"<I{len(ordered)}I", len(ordered), *ordered)).digest()
    digest = hashlib.sha256(b"afml cohort v2" + struct.pack("<I", len(nodes)))
    for node, lease in sorted(zip(nodes, leases, strict=True)):
        digest.update(struct.pack("<2I", node, len(lease)) + lease)
    return digest.digest()


def chunk_message(binding: AnyBinding, node: int, index: int, count: int, payload: bytes) -> bytes:
    """What `node` signs for chunk `index` of `count`: everything that places the payload, and its digest.

    Fields of variable length carry their length, so no two different chunks or bindings give the same message.
    """
    name, cohort = binding.run.encode(), binding.cohort_digest
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
