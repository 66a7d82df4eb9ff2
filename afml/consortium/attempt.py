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
    """An attempt of a run, summed over `cohort`."""

    run: str
    config_digest: bytes
    attempt: Attempt
    cohort: tuple[int, ...]

    @property
    def cohort_digest(self) -> bytes:
        """SHA-256 of the ascending cohort."""
        return cohort_digest(self.cohort)

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
