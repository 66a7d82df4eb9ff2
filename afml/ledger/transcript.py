"""The aggregator's transcript: a signed line for each published round, order and refused sum, for auditors.

A transcript is a JSON-lines file. Each line is canonical JSON (sorted keys, no spaces) with the fields of
`PublishedRound`, `GivenOrder` or `RefusedSum`, `previous` (hex SHA-256 of the line before, without its newline; 64
zeros on the first) and `signature` (hex Ed25519 by the aggregator over "afml transcript v1\\n" and the canonical JSON
of all the other fields). So no line can be altered, dropped from the middle or moved; dropping the last
lines shows against the ledgers and against any older copy.

Needs `afml.core` and `crypto.public` only: the aggregator writes it and must stay free of torch,
genomes and key code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from afml.consortium.attempt import Attempt
from afml.consortium.orders import Order
from afml.consortium.refusal import Refusal
from afml.consortium.run import RunConfig
from afml.core.config import Settings, canonical_json, later
from afml.core.errors import IntegrityError
from afml.core.files import require_file, sync_folder
from afml.privacy.noise import effective_multiplier
from crypto.public import signing

FIRST = "0" * 64
_DOMAIN = b"afml transcript v1\n"


class ReceiptRecord(Settings):
    """What a node sent to show that it had spent before it sent.

    `index` and `leaf` (hex) name the ledger entry; `checkpoint` is the node's signed head covering it.
    """

    index: int = Field(ge=0)
    leaf: str = Field(pattern="^[0-9a-f]{64}$")
    checkpoint: str


class PublishedRound(Settings):
    """One published aggregate."""

    run: str
    config_digest: str = Field(description="hex")
    round: int = Field(ge=1)
    attempt: int = Field(ge=1)
    phase: str
    cohort: tuple[int, ...] = Field(description="nodes whose updates are in the sum, ascending")
    quorum: int = Field(ge=1)
    noise: str
    noise_multiplier: float = Field(gt=0, description="as accounted, in units of the clip norm")
    sample_rate: float = Field(gt=0, le=1)
    clip_norm: float = Field(gt=0)
    time_ms: int = Field(description="aggregator's clock, Unix milliseconds")
    receipts: dict[int, ReceiptRecord] = Field(default_factory=dict, description="node -> its receipt")
    sum: str = later(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="hex SHA-256 of its ciphertexts, one after the other; of runs whose sums are verified",
    )


class GivenOrder(Settings):
    """One order about a run that was followed, signed by who gave it (`Order.check`)."""

    order: Order
    time_ms: int = Field(description="aggregator's clock, Unix milliseconds")


class RefusedSum(Settings):
    """One sum that a node refused, signed by it (`Refusal.check`)."""

    refusal: Refusal
    time_ms: int = Field(description="aggregator's clock, Unix milliseconds")


Record: TypeAlias = PublishedRound | GivenOrder | RefusedSum


def record_for(
    config: RunConfig,
    attempt: Attempt,
    cohort: Sequence[int],
    *,
    time_ms: int,
    receipts: Mapping[int, Mapping[str, object]] | None = None,
    sum_digest: bytes = b"",
) -> PublishedRound:
    """The line of one published round.

    Args:
        config: The run.
        attempt: Its round and number.
        cohort: Nodes in the sum.
        time_ms: Unix milliseconds.
        receipts: node -> `Receipt.to_json()` as received.
        sum_digest: See `PublishedRound.sum`.
    """
    _, phase = config.phase_of(attempt.round)
    return PublishedRound(
        run=config.run,
        config_digest=config.digest().hex(),
        round=attempt.round,
        attempt=attempt.number,
        phase=phase.name,
        cohort=tuple(sorted(cohort)),
        quorum=config.quorum,
        noise=config.noise,
        noise_multiplier=effective_multiplier(config, phase),
        sample_rate=phase.sample_rate,
        clip_norm=phase.clip_norm,
        time_ms=time_ms,
        receipts={node: ReceiptRecord.model_validate(dict(r)) for node, r in (receipts or {}).items()},
        sum=sum_digest.hex(),
    )


_MARKED: dict[str, type[Record]] = {"order": GivenOrder, "refusal": RefusedSum}
"""Kinds of lines by the field that only they have; any other one is a published round."""


def line_for(record: Record, previous: str, key: Ed25519PrivateKey) -> bytes:
    """The signed line, without a newline."""
    fields: dict[str, object] = {**record.model_dump(mode="json"), "previous": previous}
    signature = signing.sign(key, _DOMAIN + canonical_json(fields))
    return canonical_json({**fields, "signature": signature.hex()})


def read(path: Path, aggregator_key: bytes) -> list[PublishedRound]:
    """All rounds of a transcript, in order, each line checked.

    Args:
        path: The file.
        aggregator_key: Raw Ed25519 public key from the roster.

    Raises:
        InputError: No such file.
        IntegrityError: A line is malformed, unsigned, altered or out of its chain; names the line.
    """
    return [record for record in _read(path, aggregator_key) if isinstance(record, PublishedRound)]


def read_orders(path: Path, aggregator_key: bytes) -> list[GivenOrder]:
    """All orders of a transcript, in order; as `read`."""
    return [record for record in _read(path, aggregator_key) if isinstance(record, GivenOrder)]


def read_refusals(path: Path, aggregator_key: bytes) -> list[RefusedSum]:
    """All refused sums of a transcript, in order; as `read`."""
    return [record for record in _read(path, aggregator_key) if isinstance(record, RefusedSum)]


def _read(path: Path, aggregator_key: bytes) -> list[Record]:
    require_file(path, "transcript")
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise IntegrityError("last line is cut off", where=path)
    return [record for _, record in _verified(data, aggregator_key, path)]


def _verified(data: bytes, aggregator_key: bytes, path: Path) -> Iterator[tuple[bytes, Record]]:
    """Each line of `data` and what it says, once its signature and its place in the chain are checked."""
    previous = FIRST
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
            signature = bytes.fromhex(fields.pop("signature"))
            signing.verify(aggregator_key, _DOMAIN + canonical_json(fields), signature, where=where)
            linked = fields.pop("previous")
            kind = next((kind for name, kind in _MARKED.items() if name in fields), PublishedRound)
            record = kind.model_validate(fields)
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError, RecursionError):
            raise IntegrityError("is not a transcript line", where=where) from None
        if linked != previous:
            raise IntegrityError("does not follow the line before it", where=where)
        previous = hashlib.sha256(line).hexdigest()
        yield line, record


class Appender:
    """The growing end of a transcript: verified whole when it is opened, then one line a round.

    Between lines it holds the last one, the size of the file, and a digest of each; so a round costs the same
    however long the transcript is. A half-written last line (a crash) is cut off at opening.

    Args:
        path: The file; made with the first round.
        key: Signs the lines, as it signed those that are there.

    Raises:
        IntegrityError: A line that is there is malformed, altered or out of its chain; nothing is changed.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path, self._key = path, key
        self._size, self._last = 0, b""
        self._held: dict[tuple[str, str, int], bytes] = {}
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for line, record in _verified(whole, signing.public_bytes(key), path):
            self._grow(line, record)
        if whole != data:
            os.truncate(path, len(whole))

    def holds(self, record: Record) -> bool:
        """Whether this round or order is there as it is here, whenever it was written down."""
        return self._held.get(_name(record)) == _digest(record)

    def append(self, record: Record) -> None:
        """Add one line, durably.

        Raises:
            IntegrityError: The same round or order of the same run is already there, or the file was changed meanwhile.
            OSError: There is no space; nothing is added.
        """
        kind, run, number = _name(record)
        if (kind, run, number) in self._held:
            raise IntegrityError(f"{kind} {number} of run {run} is already published", where=self._path)
        created = not self._path.exists()
        if created and self._size:
            raise self._changed()
        previous = hashlib.sha256(self._last).hexdigest() if self._last else FIRST
        line = line_for(record, previous, self._key)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a+b", buffering=0) as file:  # unbuffered: nothing is left to write after a failure
            self._require_unchanged(file)
            try:
                if file.write(line + b"\n") <= len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._size)  # no space: half a line would pass for somebody else's
                raise
        if created:
            sync_folder(self._path.parent)
        self._grow(line, record)

    def _grow(self, line: bytes, record: Record) -> None:
        self._size, self._last = self._size + len(line) + 1, line
        self._held[_name(record)] = _digest(record)

    def _require_unchanged(self, file: BinaryIO) -> None:
        """The size and the last line, which holds the digest of the one before: enough to append after."""
        if os.fstat(file.fileno()).st_size != self._size:
            raise self._changed()
        file.seek(max(0, self._size - len(self._last) - 1))
        if file.read() != self._last + b"\n" * bool(self._last):
            raise self._changed()

    def _changed(self) -> IntegrityError:
        cure = "keep the file as it is and verify it; only one aggregator may write it"
        return IntegrityError("was changed by somebody else while this run appended to it", where=self._path, cure=cure)


def _name(record: Record) -> tuple[str, str, int]:
    """What a line is of: kind, run, number."""
    if isinstance(record, GivenOrder):
        return "order", record.order.run, record.order.number
    if isinstance(record, RefusedSum):
        return "refusal of node", record.refusal.run, record.refusal.node
    return "round", record.run, record.round


def _digest(record: Record) -> bytes:
    """Of all that is written down but the time."""
    return hashlib.sha256(canonical_json(record.model_dump(mode="json", exclude={"time_ms"}))).digest()
