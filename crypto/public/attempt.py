"""One attempt of one round by one cohort: what every pad and every signature is bound to."""

from __future__ import annotations

from dataclasses import dataclass

from crypto.public.signing import chunk_message, cohort_digest


@dataclass(frozen=True)
class Attempt:
    """The attempt `number` (from 1) of round `round` (from 1) of a run, summed over `cohort`."""

    run: str
    config_digest: bytes
    round: int
    number: int
    cohort: tuple[int, ...]

    @property
    def cohort_digest(self) -> bytes:
        """SHA-256 of the ascending cohort."""
        return cohort_digest(self.cohort)

    def chunk_message(self, node: int, index: int, count: int, payload: bytes) -> bytes:
        """What `node` signs for chunk `index` of `count`."""
        return chunk_message(
            self.run,
            self.config_digest,
            self.round,
            self.cohort_digest,
            self.number,
            node,
            index,
            count,
            payload,
        )

    def __str__(self) -> str:
        return f"round {self.round}, attempt {self.number}"
