"""The manifest of a package: SHA-256 of each of its files, signed by the institution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from afml.consortium import messages
from afml.core.config import Signed
from afml.core.errors import IntegrityError
from afml.core.files import write_bytes
from crypto.public.signing import public_bytes, sign, verify

MANIFEST_FILE = "manifest.json"
PUBLICATION_FILE = "publication.json"
HEX = r"^[0-9a-f]{64}$"


class InstitutionSigned(Signed):
    """A file of a package that its institution signs.

    Attributes:
        consortium: Whose run the package is of.
        origin: Name of the institution's ledger: the same whatever key it has (`Member.origin`).
        key: The institution's signing key, hex. Whose key it is, a roster says, and not this file.
        run: Name of the run.
        version: Which release of the run it is at this institution, from 1.
        release: What the ledger calls `file_digest`: SHA-256 of the released records, hex.
        signature: Over all else, hex.
    """

    consortium: str
    origin: str
    key: str = Field(pattern=HEX)
    run: str
    version: int = Field(ge=1)
    release: str = Field(pattern=HEX)
    signature: str = Field(default="", pattern=r"^[0-9a-f]*$")

    @staticmethod
    def message(content: bytes) -> bytes:
        """What is signed of such a file: its canonical JSON without signature, told from other files' (abstract)."""
        raise NotImplementedError

    def unsigned(self) -> bytes:
        """The signed bytes."""
        return self.model_copy(update={"signature": ""}).canonical()

    def signed(self, key: Ed25519PrivateKey) -> Self:
        """The same, signed by the institution's key."""
        bare = self.model_copy(update={"key": public_bytes(key).hex(), "signature": ""})
        signature = sign(key, self.message(bare.canonical())).hex()
        return bare.model_copy(update={"signature": signature})

    def require_signed(self, key: bytes, where: Path) -> None:
        """Refuse a file that this key has not signed.

        Raises:
            IntegrityError: Likewise.
        """
        try:
            verify(key, self.message(self.unsigned()), bytes.fromhex(self.signature))
        except (IntegrityError, ValueError):
            raise IntegrityError(
                "the signature is not the institution's under these digests",
                where=where,
                cure="ask the institution for the package once more, and do not use this one",
            ) from None


class Manifest(InstitutionSigned):
    """What a package is made of.

    Attributes:
        format: Of the package.
        files: Name -> SHA-256, hex, of every other file of the package, but for a publication, which comes later.
    """

    format: Literal["afml package 1"] = "afml package 1"
    files: dict[str, str]

    @staticmethod
    def message(content: bytes) -> bytes:
        """See `InstitutionSigned`."""
        return messages.release_package(content)

    def save(self, folder: Path) -> None:
        """Write manifest.json into a package."""
        write_bytes(folder / MANIFEST_FILE, self.canonical() + b"\n")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digests(folder: Path, but: Iterable[str] = (MANIFEST_FILE, PUBLICATION_FILE)) -> dict[str, str]:
    """Name -> SHA-256, hex, of every file below a folder.

    Args:
        folder: The package.
        but: Names that are left out.

    Raises:
        IntegrityError: Something in it is no plain file.
    """
    left_out, found = set(but), {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise IntegrityError("is no plain file, which a package has alone", where=path)
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in left_out:
            found[name] = digest_of(path)
    return found
