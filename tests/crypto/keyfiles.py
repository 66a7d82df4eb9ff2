"""Answers to requests, and what files of keys hold."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from afml.consortium import provision
from afml.consortium.request import REQUEST
from afml.consortium.roster import Roster

PARTIES = ("node-1", "node-2", "aggregator")


def answers(root: Path, consortium: str, name: str, kits: str = "kits") -> Roster:
    """Sign what lies in the kits."""
    requests = [root / kits / party / REQUEST for party in PARTIES if (root / kits / party).exists()]
    return provision.found(requests, root / kits / "coordinator", root / name, consortium=consortium)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def private(path: Path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    if isinstance(key, EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes(32, "big")
    return key.private_bytes_raw()  # type: ignore[union-attr,no-any-return]


def spellings(secret: bytes, pem: bytes) -> Iterator[bytes]:
    """A key as it might lie in somebody else's file: raw, hex, base64 at any offset, and as its PEM file has it."""
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode(), pem)
    yield from (base64.b64encode(bytes(at) + secret)[4 if at else 0 : 40] for at in range(3))
    yield b"".join(pem.splitlines()[1:-1])[48:]


def holders(folders: list[Path], keys: list[Path]) -> list[tuple[str, str]]:
    """(file, key) wherever a file in these folders holds one of these keys."""
    found = []
    for key in keys:
        wanted = list(spellings(private(key), key.read_bytes()))
        for folder in folders:
            for path in folder.rglob("*"):
                if path.is_file() and any(piece in path.read_bytes() for piece in wanted):
                    found.append((path.name, str(key)))
    return found
