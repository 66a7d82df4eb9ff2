"""Signed heads of a ledger: C2SP tlog-checkpoint text in a C2SP signed note.

    afml/<32 hex digits>              origin: whose ledger
    42                                entries
    <base64 root hash>
                                      an empty line
    — afml/<32 hex digits> <base64 key id + Ed25519 signature>
    — <another institution> <base64 key id + time + signature>      a countersignature

A countersignature is a C2SP tlog-cosignature (version 1): another institution has checked that this
head extends the last one it saw. A node that rewrites or forks its past therefore needs the keys of
its peers too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.request import fingerprint
from afml.consortium.roster import origin_of as origin_of
from afml.core.errors import IntegrityError
from crypto.public import signing

_SIGNATURE = 1  # key types of the C2SP signed-note and tlog-cosignature specifications
_COSIGNATURE = 4


@dataclass(frozen=True)
class Checkpoint:
    """A head: `size` entries of the ledger `origin` hash to `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def told(self) -> str:
        """For people, who compare it with what others hold: over how many entries it is, and its fingerprint."""
        return f"over {self.size} {'entry' if self.size == 1 else 'entries'}, fingerprint {fingerprint(self.root)}"

    def text(self) -> str:
        """The signed text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes, kind: int = _SIGNATURE) -> bytes:
    """First 4 bytes of SHA-256(name || LF || type || public key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _line(name: str, payload: bytes) -> str:
    return f"— {name} {base64.b64encode(payload).decode()}\n"


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The note: text, empty line, the origin's signature."""
    text = checkpoint.text()
    signature = signing.sign(key, text.encode())
    identity = key_id(checkpoint.origin, signing.public_bytes(key))
    return text + "\n" + _line(checkpoint.origin, identity + signature)


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text, and (name, payload) of each signature line.

    Raises:
        IntegrityError: Not a signed note.
    """
    text, blank, tail = note.partition("\n\n")
    lines: list[tuple[str, bytes]] = []
    try:
        if not blank or not tail.endswith("\n"):
            raise ValueError
        for line in tail[:-1].split("\n"):
            dash, name, payload = line.split(" ")
            if dash != "—" or not name:
                raise ValueError
            lines.append((name, base64.b64decode(payload, validate=True)))
    except (ValueError, binascii.Error):
        raise IntegrityError("is not a signed note", where="checkpoint") from None
    return text + "\n", lines


def bare(note: str) -> str:
    """A note without its countersignatures: what its owner signed; "" stays "".

    Raises:
        IntegrityError: Malformed.
    """
    if not note:
        return ""
    text, lines = split(note)
    origin = text.split("\n", 1)[0]
    return text + "\n" + "".join(_line(name, payload) for name, payload in lines if name == origin)


def parse(note: str) -> Checkpoint:
    """Read the text of a note; signatures are not checked here.

    Raises:
        IntegrityError: Malformed.
    """
    text, _ = split(note)
    try:
        origin, size, root, *_ = text.split("\n")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
        if not origin or str(checkpoint.size) != size or checkpoint.size < 0 or len(checkpoint.root) != 32:
            raise ValueError
    except (ValueError, binascii.Error):
        raise IntegrityError("is not a checkpoint", where="checkpoint") from None
    return checkpoint


def verify(note: str, public: bytes) -> Checkpoint:
    """Read a note signed by its origin.

    Args:
        note: The text and its signatures.
        public: Raw Ed25519 public key of the origin.

    Raises:
        IntegrityError: Malformed, or no valid signature by this key.
    """
    checkpoint = parse(note)
    text, lines = split(note)
    expected = key_id(checkpoint.origin, public)
    for name, payload in lines:
        if name == checkpoint.origin and payload[:4] == expected:
            signing.verify(public, text.encode(), payload[4:], where=f"checkpoint of {name}")
            return checkpoint
    where = f"checkpoint of {checkpoint.origin}"
    raise IntegrityError("carries no signature by the expected key", where=where)


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosign(note: str, name: str, key: Ed25519PrivateKey, seconds: int) -> str:
    """One countersignature line for a note. The caller has verified the note and its consistency."""
    text, _ = split(note)
    signature = signing.sign(key, _cosigned(text, seconds))
    public = signing.public_bytes(key)
    return _line(name, key_id(name, public, _COSIGNATURE) + struct.pack(">Q", seconds) + signature)


def countersigners(note: str, keys: Mapping[str, bytes]) -> list[str]:
    """Names in `keys` whose countersignature of this note is valid.

    Raises:
        IntegrityError: A line claims one of these names and keys but does not verify.
    """
    text, lines = split(note)
    found = []
    for name, payload in lines:
        public = keys.get(name)
        if public is None or payload[:4] != key_id(name, public, _COSIGNATURE):
            continue
        (seconds,) = struct.unpack(">Q", payload[4:12].ljust(8, b"\0"))
        where = f"countersignature of {name}"
        signing.verify(public, _cosigned(text, seconds), payload[12:], where=where)
        found.append(name)
    return found
