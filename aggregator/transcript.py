"""The signed record of published rounds, which auditors hold against the nodes' ledgers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.run import RunConfig
from afml.ledger.transcript import append, read, record_for
from crypto.public.signing import public_bytes


class Transcript:
    """Appends each published round once, also when a restart sums it again."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path, self._key = path, key

    def add(
        self, config: RunConfig, round_number: int, attempt: int, receipts: Mapping[int, Mapping[str, object]]
    ) -> None:
        """Record a round whose sum is durable.

        Raises:
            IntegrityError: The file was altered, or holds another attempt of this round.
        """
        record = record_for(
            config,
            round_number,
            attempt,
            sorted(receipts),
            time_ms=time.time_ns() // 1_000_000,
            receipts=receipts,
        )
        if self._path.exists():
            for old in read(self._path, public_bytes(self._key)):
                if old.model_copy(update={"time_ms": record.time_ms}) == record:
                    return
        append(self._path, record, self._key)
