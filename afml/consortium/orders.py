"""Orders about a run under way: signed by the coordinator or the aggregator, kept in the run's transcript.

An order is a small file. `afml run pause` and its like sign one and lay it into the aggregator's folder of the run,
where a running aggregator finds it at once and one that was stopped finds it at its next start. An order is about one
run, is newer than every order before it, and says nothing about any person or budget: what a node may spend is its
own ledger's and policy's to say, whatever is ordered.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from afml.consortium import messages
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.config import FiniteSettings
from afml.core.errors import ProtocolError
from afml.core.files import write_bytes
from crypto.public.signing import sign, verify

FOLDER = "orders"
"""Below the aggregator's folder of the run."""
Giver: TypeAlias = Literal["coordinator", "aggregator"]
LONGEST_S = 366 * 86_400.0


class What(StrEnum):
    """What is ordered."""

    CLOSE_ENROLMENT = "close-enrolment"
    PAUSE = "pause"
    RESUME = "resume"
    EXTEND = "extend"
    ABORT = "abort"


class Order(FiniteSettings):
    """One order, with the signature of who gave it.

    Attributes:
        run, config_digest: The run; the digest in hex.
        what: What is ordered.
        number: Grows from order to order: Unix milliseconds when it was signed.
        seconds: Of `extend`: what the present stage may last longer.
        by: Whose key signed.
        signature: Hex Ed25519.
    """

    run: str
    config_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    what: What
    number: int = Field(ge=1)
    seconds: float = Field(default=0.0, ge=0, le=LONGEST_S)
    by: Giver
    signature: str = Field(default="", pattern=r"^([0-9a-f]{128})?$")

    @classmethod
    def signed_by(
        cls, key: Ed25519PrivateKey, by: Giver, config: RunConfig, what: What, *, number: int, seconds: float = 0.0
    ) -> Self:
        """An order about `config`, signed.

        Args:
            key: Of the coordinator or the aggregator.
            by: Which of them.
            config: The run.
            what: What is ordered.
            number: Unix milliseconds.
            seconds: Of `extend`.
        """
        bare = cls(
            run=config.run, config_digest=config.digest().hex(), what=what, number=number, seconds=seconds, by=by
        )
        return bare.model_copy(update={"signature": sign(key, bare._message()).hex()})

    def check(self, config: RunConfig, roster: Roster) -> None:
        """Whether this is an order about this run, from who may give it.

        Raises:
            ProtocolError: It is about another run.
            IntegrityError: Its signature is not by the key that the roster names.
        """
        if (self.run, self.config_digest) != (config.run, config.digest().hex()):
            raise ProtocolError(f"is about run {self.run}, not about {config.run} as it was signed", where="order")
        key = roster.coordinator_key if self.by == "coordinator" else roster.aggregator_key
        verify(bytes.fromhex(key), self._message(), bytes.fromhex(self.signature), where=f"order {self.what}")

    def lay(self, data: Path) -> Path:
        """Put this order where the aggregator with this folder finds it; the file."""
        path = data / FOLDER / f"{self.number}.json"
        write_bytes(path, self.model_dump_json().encode())
        return path

    def _message(self) -> bytes:
        config = bytes.fromhex(self.config_digest)
        return messages.order(self.run, config, self.what, self.number, self.seconds, self.by)
