"""One attempt of one round, and what every pad and every signature of it is bound to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from crypto.public.signing import chunk_message, cohort_digest


class Attempt(NamedTuple):
    """The attempt `number` (from 1) of round `round` (from 1). Ordered by time."""

    round: int
    number: int

    @property
    def next(self) -> Attempt:
        """The following attempt of the same round."""
        return Attempt(self.round, self.number + 1)

    def __str__(self) -> str:
        return f"round {self.round}, attempt {self.number}"


@dataclass(frozen=True)
class Binding:
    """An attempt of a run, summed over `cohort`.

    Attributes:
        run: Name of the run.
        config_digest: Digest of its configuration.
        attempt: Round and number.
        cohort: The nodes in it.
        leases: The nonce of the process by which each of them takes part (`afml.consortium.lease`), in that order, by
            their own signed Ready tokens; empty where all nodes are in one process, as in an audit.
    """

    run: str
    config_digest: bytes
    attempt: Attempt
    cohort: tuple[int, ...]
    leases: tuple[bytes, ...] = ()

    @property
    def cohort_digest(self) -> bytes:
        """SHA-256 of who is in it, and by which process."""
        return cohort_digest(self.cohort, self.leases)

    def lease(self, node: int) -> bytes:
        """The nonce of a member's process, b"" where nobody has any."""
        return dict(zip(self.cohort, self.leases, strict=True))[node] if self.leases else b""

    @property
    def round(self) -> int:
        """Round of the attempt."""
        return self.attempt.round

    @property
    def number(self) -> int:
        """Number of the attempt within its round."""
        return self.attempt.number

    def chunk_message(self, node: int, index: int, count: int, payload: bytes) -> bytes:
        """What `node` signs for chunk `index` of `count`."""
        return chunk_message(self, node, index, count, payload)

    def __str__(self) -> str:
        return str(self.attempt)
