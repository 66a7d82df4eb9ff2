"""What an institution keeps of the evaluation of a package: the report, and of which very files it is."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field

from afml.core.config import Settings
from afml.core.files import write_bytes
from afml.evaluation.report import Report
from afml.genomics.released import release_digest
from afml.release.package.manifest import HEX, MANIFEST_FILE, digest_of


class Assessed(Settings):
    """An evaluation of a package, exact about the people in it: it stays at the institution.

    Attributes:
        format: Of the file.
        configuration: Digest of the signed run that it was asked under, hex.
        release: SHA-256 of the released records, hex, before anything was read of them.
        manifest: SHA-256 of the package's manifest.json, hex, likewise.
        salt: Random, hex: without it the digest of this file could be tried out against guesses of what it says.
        report: As report.json has it.
    """

    format: Literal["afml assessment 1"] = "afml assessment 1"
    configuration: str = Field(pattern=HEX)
    release: str = Field(pattern=HEX)
    manifest: str = Field(pattern=HEX)
    salt: str = Field(default_factory=lambda: secrets.token_hex(32), pattern=HEX)
    report: Report

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(path, self.canonical() + b"\n")


def files_of(package: Path) -> tuple[str, str] | None:
    """SHA-256 of a package's records and of its manifest, hex; None of a release of before there were packages.

    Raises:
        InputError: It holds no release.
    """
    release, manifest = release_digest(package), package / MANIFEST_FILE
    return (release, digest_of(manifest)) if manifest.is_file() else None
