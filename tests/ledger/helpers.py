"""Ledgers, runs and transcripts for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget, Phase, RunConfig
from afml.ledger import transcript
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.spending import worst
from afml.ledger.store import Ledger
from crypto.public.signing import generate_signing_key, public_bytes
from tests.masking_runs import masking_run

KEY = generate_signing_key()
AGGREGATOR = generate_signing_key()
PUBLIC = public_bytes(KEY)
ORIGIN = "afml/test/node-1"
PEOPLE = [f"person-{i}" for i in range(12)]


class Clock:
    """A clock that ticks a second per reading."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def config(run: str = "run-1", *, z: float = 8.0, rounds: int = 4, rate: float = 1.0, **changes: Any) -> RunConfig:
    phase = Phase(name="risk", rounds=rounds, sample_rate=rate, clip_norm=1.0, noise_multiplier=z, learning_rate=0.1)
    fields: dict[str, Any] = {
        "run": run,
        "consortium": "test",
        "sites": 10,
        "enrolled": {1: 12, 2: 12, 3: 12},
        "quorum": 3,
        "budget": Budget(delta=1e-5, ple_sigma=2.0),
        "phases": (phase,),
        "seed": None,
    }
    return masking_run(**{**fields, **changes})


def open_ledger(
    folder: Path, *, key: Ed25519PrivateKey = KEY, clock: Clock | None = None, origin: str = ORIGIN
) -> Ledger:
    return Ledger.open(folder, key, origin=origin, clock=clock or Clock())


def spend(ledger: Ledger, run: RunConfig, round: int, attempt: int = 1, people: Sequence[str] = PEOPLE) -> Receipt:
    return ledger.append(spend_for(run, Attempt(round, attempt), [1, 2, 3]), people, budget=run.budget)


def sigma(ledger: Ledger, people: Sequence[str]) -> float:
    """PLE of the person who spent most."""
    return worst(ledger.accounts(people), 1e-5).sigma


def publish(path: Path, run: RunConfig, paid: Sequence[Receipt], clock: Clock, **changes: Any) -> None:
    """The aggregator publishes what these receipts paid for."""
    appender = transcript.Appender(path, AGGREGATOR)
    for receipt in paid:
        now = int(clock() * 1000)
        record = transcript.record_for(run, receipt.attempt, [1, 2, 3], time_ms=now, receipts={1: receipt.to_json()})
        appender.append(record.model_copy(update=changes))


def read_transcript(path: Path) -> list[transcript.PublishedRound]:
    return transcript.read(path, public_bytes(AGGREGATOR))
