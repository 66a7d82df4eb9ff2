"""The roster: who belongs to a consortium, and by which public keys."""

from __future__ import annotations

from pydantic import Field

from afml.core.config import Settings


class Member(Settings):
    """One institution on the consortium's roster. Keys are hex of raw public keys."""

    node: int = Field(ge=1, le=1024)
    name: str
    signing_key: str = Field(description="Ed25519, 32 bytes")
    sealing_key: str = Field(description="X25519, 32 bytes")


class Roster(Settings):
    """The parties of a consortium. Provisioning makes it; everybody holds the same copy."""

    consortium: str
    coordinator_key: str = Field(description="Ed25519, signs run configurations")
    aggregator_key: str = Field(description="Ed25519, signs transcripts")
    members: tuple[Member, ...]

    def member(self, node: int) -> Member:
        """The roster entry of `node`.

        Raises:
            KeyError: No such node.
        """
        for member in self.members:
            if member.node == node:
                return member
        raise KeyError(node)
