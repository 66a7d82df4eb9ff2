"""Ciphertexts of an attempt, on disk before the first byte leaves.

A pad may cover one message only. So an attempt is marked as begun before its pad exists, its ciphertexts are
made once and stored whole, and every retry sends those bytes. A node that finds the mark without the bytes
(it died in between, or somebody removed them) refuses the attempt: the next attempt has fresh pads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.errors import IntegrityError, ProtocolError
from afml.core.files import write_bytes
from afml.core.recordfile import read_records, write_records
from crypto.public.attempt import Attempt
from crypto.public.params import CodecParams
from crypto.public.payload import upload_size
from crypto.public.signing import sign

RECORD_BYTES, END_BYTES = 4, 8
"""What a record file adds to each record, and at its end."""


@dataclass(frozen=True)
class Submission:
    """The stored ciphertexts of one attempt. `count` chunks."""

    attempt: Attempt
    path: Path
    count: int

    def chunks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """(index, payload) in order, read one at a time."""
        yield from enumerate(read_records(self.path, first), start=first)

    def signed(self, node: int, key: Ed25519PrivateKey, first: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, payload, signature) in order; Ed25519 is deterministic, so a retry sends the same bytes."""
        for index, payload in self.chunks(first):
            yield index, payload, sign(key, self.attempt.chunk_message(node, index, self.count, payload))


class Outbox:
    """A folder that holds one run's submissions."""

    def __init__(self, folder: Path, params: CodecParams) -> None:
        self._folder = folder
        self._record = RECORD_BYTES + upload_size(params)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, attempt: Attempt) -> Submission | None:
        """The stored submission of `attempt`, or None where the attempt was never begun.

        Raises:
            ProtocolError: This node joined another cohort in the same attempt.
            IntegrityError: The attempt was begun and its bytes are gone.
        """
        mark, stored = self._paths(attempt)
        if not mark.exists():
            return None
        begun = json.loads(mark.read_text())
        if begun["attempt"] != _identity(attempt):
            raise ProtocolError("this node already joined another cohort in this attempt", where=attempt)
        size = stored.stat().st_size if stored.exists() else 0
        count, rest = divmod(size - END_BYTES, self._record)
        if count < 1 or rest:
            raise IntegrityError(
                "ciphertexts of this attempt are gone; making them again would reuse a pad",
                where=attempt,
                cure="the attempt is refused; the next one uses fresh pads",
            )
        return Submission(attempt, stored, count)

    def submission(self, attempt: Attempt, make: Callable[[], Iterable[bytes]]) -> Submission:
        """The stored submission, made by `make` and stored first where the attempt is new.

        Args:
            attempt: The attempt, its cohort fixed.
            make: Pads and encrypts; called at most once per attempt, ever.

        Raises:
            ProtocolError, IntegrityError: As `find`.
        """
        found = self.find(attempt)
        if found is not None:
            return found
        mark, stored = self._paths(attempt)
        write_bytes(mark, json.dumps({"attempt": _identity(attempt)}).encode())
        write_records(stored, make())
        done = self.find(attempt)
        assert done is not None
        return done

    def clear(self) -> None:
        """Remove everything; for the end of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _paths(self, attempt: Attempt) -> tuple[Path, Path]:
        stem = f"round-{attempt.round}-attempt-{attempt.number}"
        return self._folder / f"{stem}.begun", self._folder / f"{stem}.chunks"


def _identity(attempt: Attempt) -> str:
    return f"{attempt.run} {attempt.config_digest.hex()} {attempt.cohort_digest.hex()}"
