"""The aggregator's transcript: one signed line per published round, which auditors hold against ledgers.

A transcript is a JSON-lines file. Each line is canonical JSON (sorted keys, no spaces) with the fields
of `PublishedRound`, `previous` (hex SHA-256 of the line before, without its newline; 64 zeros on the
first) and `signature` (hex Ed25519 by the aggregator over "afml transcript v1\\n" and the canonical JSON
of all the other fields). So no line can be altered, dropped from the middle or moved; dropping the last
lines shows against the ledgers and against any older copy.

Needs `afml.core` and `crypto.public` only: the aggregator writes it and must stay free of torch,
genomes and key code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from afml.core.config import Settings, canonical_json
from afml.core.errors import IntegrityError
from afml.core.files import require_file, sync_folder
from afml.core.run import RunConfig
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


def record_for(
    config: RunConfig,
    round: int,
    attempt: int,
    cohort: Sequence[int],
    *,
    time_ms: int,
    receipts: Mapping[int, Mapping[str, object]] | None = None,
) -> PublishedRound:
    """The line of one published round.

    Args:
        config: The run.
        round: From 1.
        attempt: From 1.
        cohort: Nodes in the sum.
        time_ms: Unix milliseconds.
        receipts: node -> `Receipt.to_json()` as received.
    """
    _, phase = config.phase_of(round)
    return PublishedRound(
        run=config.run,
        config_digest=config.digest().hex(),
        round=round,
        attempt=attempt,
        phase=phase.name,
        cohort=tuple(sorted(cohort)),
        quorum=config.quorum,
        noise=config.noise,
        noise_multiplier=phase.noise_multiplier,
        sample_rate=phase.sample_rate,
        clip_norm=phase.clip_norm,
        time_ms=time_ms,
        receipts={node: ReceiptRecord.model_validate(dict(r)) for node, r in (receipts or {}).items()},
    )


def line_for(record: PublishedRound, previous: str, key: Ed25519PrivateKey) -> bytes:
    """The signed line, without a newline."""
    fields: dict[str, object] = {**record.model_dump(mode="json"), "previous": previous}
    signature = signing.sign(key, _DOMAIN + canonical_json(fields))
    return canonical_json({**fields, "signature": signature.hex()})


def append(path: Path, record: PublishedRound, key: Ed25519PrivateKey) -> None:
    """Add one line, durably. A half-written last line (a crash) is cut off first.

    Raises:
        IntegrityError: The same round of the same run is already there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    created = not path.exists()
    with open(path, "a+b") as handle:
        handle.seek(0)
        data = handle.read()
        whole = data[: data.rfind(b"\n") + 1]
        handle.truncate(len(whole))
        lines = whole.splitlines()
        for line in lines:
            old = json.loads(line)
            if (old["run"], old["round"]) == (record.run, record.round):
                problem = f"round {record.round} of run {record.run} is already published"
                raise IntegrityError(problem, where=path)
        previous = hashlib.sha256(lines[-1]).hexdigest() if lines else FIRST
        handle.seek(0, os.SEEK_END)
        handle.write(line_for(record, previous, key) + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    if created:
        sync_folder(path.parent)


def read(path: Path, aggregator_key: bytes) -> list[PublishedRound]:
    """All rounds of a transcript, in order, each line checked.

    Args:
        path: The file.
        aggregator_key: Raw Ed25519 public key from the roster.

    Raises:
        InputError: No such file.
        IntegrityError: A line is malformed, unsigned, altered or out of its chain; names the line.
    """
    require_file(path, "transcript")
    rounds: list[PublishedRound] = []
    previous = FIRST
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise IntegrityError("last line is cut off", where=path)
    for number, line in enumerate(data.splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
            signature = bytes.fromhex(fields.pop("signature"))
            signing.verify(aggregator_key, _DOMAIN + canonical_json(fields), signature, where=where)
            linked = fields.pop("previous")
            rounds.append(PublishedRound.model_validate(fields))
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError):
            raise IntegrityError("is not a transcript line", where=where) from None
        if linked != previous:
            raise IntegrityError("does not follow the line before it", where=where)
        previous = hashlib.sha256(line).hexdigest()
    return rounds
