"""The roster: who belongs to a consortium, and by which public keys."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import AfterValidator, Field

from afml.consortium import messages
from afml.core.config import Settings, Signed, later
from afml.core.errors import IntegrityError
from crypto.public.signing import verify

_HEX = r"^([0-9a-f]{2})*$"
MOST_KEY_CHANGES = 64
LONGEST_NAME = 80


def origin_of(founder: bytes) -> str:
    """Name of an institution's ledger: of no consortium, no number in a roster and no later key.

    Args:
        founder: The raw Ed25519 public key that the institution began with.
    """
    return f"afml/{hashlib.sha256(founder).hexdigest()[:32]}"


class KeyChange(Settings):
    """One change of an institution's signing key.

    Attributes:
        key: The signing key before it, hex.
        signature: By that key, over the key after it, hex.
    """

    key: str = Field(pattern=_HEX)
    signature: str = Field(pattern=_HEX)


def _shown(name: str) -> str:
    """A name as people read it beside fingerprints: nothing in it may pass for another line."""
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"has up to {LONGEST_NAME} printable characters")
    return name


Shown = Annotated[str, AfterValidator(_shown)]


class Member(Settings):
    """One institution on the consortium's roster. Keys are hex of raw public keys."""

    node: int = Field(ge=1, le=1024)
    name: Shown
    signing_key: str = Field(pattern=_HEX, description="Ed25519, 32 bytes")
    sealing_key: str = Field(pattern=_HEX, description="X25519, 32 bytes")
    lineage: tuple[KeyChange, ...] = Field(
        default=(), max_length=MOST_KEY_CHANGES, description="How the signing key followed from the founding one"
    )

    @property
    def founder(self) -> str:
        """The signing key that the institution began with, hex."""
        return founder_of(self.signing_key, self.lineage)

    @property
    def origin(self) -> str:
        """Name of the institution's ledger, whatever consortium it takes part in."""
        return origin_of(bytes.fromhex(self.founder))

    @property
    def keys(self) -> tuple[str, ...]:
        """Its signing keys from the founding one to the present one, hex."""
        return (*(change.key for change in self.lineage), self.signing_key)


class Roster(Signed):
    """The parties of a consortium, in one version (`afml.consortium.history`); everybody holds the same copy."""

    consortium: Shown
    coordinator_key: str = Field(pattern=_HEX, description="Ed25519, signs run configurations")
    aggregator_key: str = Field(pattern=_HEX, description="Ed25519, signs transcripts")
    members: tuple[Member, ...]
    authority: str = Field(default="", pattern=_HEX, description="SHA-256 of the certificate authority's certificate")
    version: int = later(1, ge=1)
    previous: str = later(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="digest of the version before",
    )

    @property
    def names(self) -> dict[int, str]:
        """node -> name of its institution."""
        return {member.node: member.name for member in self.members}

    def member(self, node: int) -> Member:
        """The roster entry of `node`.

        Raises:
            KeyError: No such node.
        """
        for member in self.members:
            if member.node == node:
                return member
        raise KeyError(node)

    def check(self, where: object) -> None:
        """Refuse a roster that gives one institution's ledger or number to two, or to somebody else's key.

        Args:
            where: For messages.

        Raises:
            IntegrityError: A lineage is not signed by its keys, or two entries are of one institution.
        """
        for member in self.members:
            check_lineage(member.signing_key, member.lineage, f"{where}, node {member.node}")
        for what, values in (
            ("number", [str(member.node) for member in self.members]),
            ("ledger", [member.origin for member in self.members]),
            ("signing key", [member.signing_key for member in self.members]),
            ("sealing key", [member.sealing_key for member in self.members]),
        ):
            if len(set(values)) != len(values):
                raise IntegrityError(f"gives one {what} to two institutions", where=where, cure="ask for another")


def founder_of(signing_key: str, lineage: tuple[KeyChange, ...]) -> str:
    """The first of an institution's signing keys, hex."""
    return lineage[0].key if lineage else signing_key


def check_lineage(signing_key: str, lineage: tuple[KeyChange, ...], where: object) -> None:
    """Check that every key of a lineage has signed the next, up to `signing_key`.

    Raises:
        IntegrityError: A signature is not by the key before.
    """
    keys = [change.key for change in lineage] + [signing_key]
    for change, after in zip(lineage, keys[1:], strict=True):
        message = messages.key_change(bytes.fromhex(keys[0]), bytes.fromhex(after))
        verify(bytes.fromhex(change.key), message, bytes.fromhex(change.signature), where=where)
