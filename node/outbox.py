"""Ciphertexts of an attempt, on disk before the first byte leaves.

A pad may cover one message only. So an attempt is marked as begun before its pad exists, its ciphertexts are
made once and stored whole, and every retry sends those bytes. A node that finds the mark without the bytes
(it died in between, or somebody removed them) refuses the attempt: the next attempt has fresh pads. A folder that is
put back to an earlier state takes the marks along: what a process has begun it knows by itself, and another process has
other pads (`afml.consortium.lease`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt, Binding
from afml.core.errors import IntegrityError, ProtocolError
from afml.core.files import write_bytes
from afml.core.recordfile import read_records, write_records
from crypto.public.signing import sign

RECORD_BYTES, END_BYTES = 4, 8
"""What a record file adds to each record, and at its end."""


@dataclass(frozen=True)
class Submission:
    """The stored ciphertexts of one attempt. `count` chunks."""

    binding: Binding
    path: Path
    count: int

    def chunks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """(index, payload) in order, read one at a time."""
        yield from enumerate(read_records(self.path, first), start=first)

    def signed(self, node: int, key: Ed25519PrivateKey, first: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, payload, signature) in order; Ed25519 is deterministic, so a retry sends the same bytes."""
        for index, payload in self.chunks(first):
            yield index, payload, sign(key, self.binding.chunk_message(node, index, self.count, payload))


class Outbox:
    """A folder that holds one run's submissions.

    Args:
        folder: Made where it is not there.
        chunk_bytes: Size of every payload (`PublicBackend.upload_size`).
    """

    def __init__(self, folder: Path, chunk_bytes: int) -> None:
        self._folder = folder
        self._record = RECORD_BYTES + chunk_bytes
        self._begun: set[Attempt] = set()  # by this process, whatever the folder says
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, binding: Binding) -> Submission | None:
        """The stored submission of an attempt, or None where it was never begun.

        Raises:
            ProtocolError: This node joined another cohort in the same attempt.
            IntegrityError: The attempt was begun and its bytes are gone.
        """
        mark, stored = self._paths(binding)
        if not mark.exists() and binding.attempt not in self._begun:
            return None
        if mark.exists() and json.loads(mark.read_text())["attempt"] != _identity(binding):
            raise ProtocolError("this node already joined another cohort in this attempt", where=binding)
        size = stored.stat().st_size if stored.exists() else 0
        count, rest = divmod(size - END_BYTES, self._record)
        if count < 1 or rest:
            raise IntegrityError(
                "ciphertexts of this attempt are gone; making them again would reuse a pad",
                where=binding,
                cure="the attempt is refused; the next one uses fresh pads",
            )
        return Submission(binding, stored, count)

    def submission(self, binding: Binding, make: Callable[[], Iterable[bytes]]) -> Submission:
        """The stored submission, made by `make` and stored first where the attempt is new.

        Args:
            binding: The attempt, its cohort fixed.
            make: Pads and encrypts; called at most once per attempt, ever.

        Raises:
            ProtocolError, IntegrityError: As `find`.
        """
        found = self.find(binding)
        if found is not None:
            return found
        mark, stored = self._paths(binding)
        self._begun.add(binding.attempt)
        write_bytes(mark, json.dumps({"attempt": _identity(binding)}).encode())
        write_records(stored, make())
        done = self.find(binding)
        assert done is not None
        return done

    def passed(self, attempt: Attempt) -> None:
        """The sum of an attempt is applied, durably: ciphertexts of its round go. Their marks stay for ever."""
        for number in range(1, attempt.number + 1):
            (self._folder / f"{_stem(Attempt(attempt.round, number))}.chunks").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything; for the end of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _paths(self, binding: Binding) -> tuple[Path, Path]:
        stem = _stem(binding.attempt)
        return self._folder / f"{stem}.begun", self._folder / f"{stem}.chunks"


def _stem(attempt: Attempt) -> str:
    return f"round-{attempt.round}-attempt-{attempt.number}"


def _identity(binding: Binding) -> str:
    return f"{binding.run} {binding.config_digest.hex()} {binding.cohort_digest.hex()}"
