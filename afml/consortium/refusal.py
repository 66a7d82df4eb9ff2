"""A node's word that a published sum is not that of what its nodes encrypted: signed, kept, in the transcript."""

from __future__ import annotations

from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Reason
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.config import FiniteSettings
from afml.core.errors import IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from crypto.public.signing import sign, verify


class Refusal(FiniteSettings):
    """One refused sum. By it the node leaves its run.

    Attributes:
        run, config_digest: The run; the digest in hex.
        node: Who refuses.
        round, attempt: Whose sum.
        sum: Hex SHA-256 of its ciphertexts as they came, one after the other (`afml.core.recordfile.Digested`).
        signature: Hex Ed25519 by the node.
    """

    run: str
    config_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    node: int = Field(ge=0)
    round: int = Field(ge=1)
    attempt: int = Field(ge=1)
    sum: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(default="", pattern=r"^([0-9a-f]{128})?$")

    @classmethod
    def signed_by(
        cls, key: Ed25519PrivateKey, node: int, config: RunConfig, attempt: Attempt, sum_digest: bytes
    ) -> Self:
        """What `node` says of the sum of an attempt that came to it with this SHA-256."""
        bare = cls(
            run=config.run, config_digest=config.digest().hex(), node=node,
            round=attempt.round, attempt=attempt.number, sum=sum_digest.hex(),
        )  # fmt: skip
        return bare.model_copy(update={"signature": sign(key, bare._message()).hex()})

    @classmethod
    def of(cls, notice: wire.LeaveNotice) -> Self:
        """What a notice says, unchecked.

        Raises:
            ProtocolError: It names no sum.
        """
        try:
            return cls(
                run=notice.run, config_digest=notice.config_digest.hex(), node=notice.node,
                round=notice.refused.round, attempt=notice.refused.attempt, sum=notice.refused.sum.hex(),
                signature=notice.signature.hex(),
            )  # fmt: skip
        except ValueError:
            raise ProtocolError(f"node {notice.node} refuses a sum and does not say which") from None

    @property
    def notice(self) -> wire.LeaveNotice:
        """As it goes to the aggregator."""
        return wire.LeaveNotice(
            run=self.run,
            config_digest=bytes.fromhex(self.config_digest),
            node=self.node,
            reason=Reason.SUM_NOT_VERIFIED.wire,
            refused=wire.RefusedSum(round=self.round, attempt=self.attempt, sum=bytes.fromhex(self.sum)),
            signature=bytes.fromhex(self.signature),
        )

    def check(self, config: RunConfig, roster: Roster) -> None:
        """Whether this is about this run, from a node of it.

        Raises:
            ProtocolError: It is about another run, one whose sums are believed, or from nobody of it.
            IntegrityError: Its signature is not by the node's roster key.
        """
        if (self.run, self.config_digest) != (config.run, config.digest().hex()) or not config.verified_sums:
            raise ProtocolError(f"is not about a sum that run {config.run} verifies", where="refusal")
        if self.node not in config.enrolled:
            raise ProtocolError(f"node {self.node} is not in run {config.run}", where="refusal")
        try:
            key = bytes.fromhex(roster.member(self.node).signing_key)
            verify(key, self._message(), bytes.fromhex(self.signature))
        except IntegrityError:
            raise IntegrityError(f"signature of node {self.node} does not match its roster key") from None

    def _message(self) -> bytes:
        attempt = Attempt(self.round, self.attempt)
        return messages.refusal(
            self.run, bytes.fromhex(self.config_digest), attempt, self.node, bytes.fromhex(self.sum)
        )  # fmt: skip
