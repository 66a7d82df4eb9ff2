"""What an institution held a released file against before it published it, and what it accepted that was missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublicationRecord:
    """A package that may leave the house.

    Attributes:
        file_digest: SHA-256 of the released records, hex: its release is in the ledger.
        manifest: SHA-256 of the package's manifest.json, hex.
        assessment: SHA-256 of what its evaluation was kept as, hex; it stays at the institution.
        met: Names of the targets that were met.
        missed: Names of those that were missed, and knowingly accepted.
    """

    file_digest: str
    manifest: str
    assessment: str
    met: tuple[str, ...]
    missed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Fields of the ledger entry that come from the publication itself."""
        return {
            "kind": "publication",
            "manifest": self.manifest,
            "assessment": self.assessment,
            "met": list(self.met),
            "missed": list(self.missed),
        }


def told(body: Mapping[str, object]) -> str:
    """An entry in words."""
    met, missed = (value if isinstance(value := body[name], list) else [] for name in ("met", "missed"))
    accepted = f"; MISSED, and published nevertheless: {', '.join(map(str, missed))}" if missed else ""
    return f"release #{body['release']} published: {', '.join(map(str, met)) or 'nothing'} met{accepted}"
