"""Ledgers, runs and transcripts for the tests of this folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget, Phase, RunConfig
from afml.ledger import transcript
from afml.ledger.checkpoint import origin_of
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.reservation import Limits, Reason, reservation_for
from afml.ledger.spending import fixed_plan
from afml.ledger.store import Ledger
from crypto.public.signing import generate_signing_key, public_bytes
from tests.masking_runs import masking_run

KEY = generate_signing_key()
AGGREGATOR = generate_signing_key()
PUBLIC = public_bytes(KEY)
ORIGIN = origin_of(PUBLIC)
LIFETIME = Budget(delta=1e-5, ple_sigma=50.0)
ONE = Budget(delta=1e-5, ple_sigma=1.0)
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


def full(name: str, sigma: float, *, budget: Budget = ONE, rounds: int = 4, **changes: Any) -> RunConfig:
    """A run of full batches that comes to `sigma`, reserve included."""
    return config(name, z=math.sqrt(rounds) / sigma, rounds=rounds, reserve_attempts=0, budget=budget, **changes)


def open_ledger(
    folder: Path, *, key: Ed25519PrivateKey = KEY, clock: Clock | None = None, origin: str | None = None
) -> Ledger:
    return Ledger.open(folder, key, origin=origin or origin_of(public_bytes(key)), clock=clock or Clock())


def limits(run: RunConfig) -> Limits:
    return Limits(run.budget, LIFETIME)


def reserve(ledger: Ledger, run: RunConfig, people: Sequence[str] = PEOPLE, *, days: float = 30.0) -> None:
    ledger.plans.reserve(reservation_for(run, limits(run), days=days), people)


def spend(ledger: Ledger, run: RunConfig, round: int, attempt: int = 1, people: Sequence[str] = PEOPLE) -> Receipt:
    """Spend one attempt by all three nodes; the plan is reserved where it is not yet."""
    if ledger.plans.held(run.run) is None:
        reserve(ledger, run, people)
    return ledger.append(spend_for(run, Attempt(round, attempt), [1, 2, 3]), people, limits(run))


def close(ledger: Ledger, run: RunConfig, reason: Reason = "finished") -> None:
    ledger.plans.close(run.run, run.digest().hex(), reason)


def sigma(ledger: Ledger, people: Sequence[str]) -> float:
    """PLE of the person who spent most, as if all plans had been fixed in advance."""
    return fixed_plan(ledger.accounts(people), LIFETIME.delta).sigma


def publish(path: Path, run: RunConfig, paid: Sequence[Receipt], clock: Clock, **changes: Any) -> None:
    """The aggregator publishes what these receipts paid for."""
    appender = transcript.Appender(path, AGGREGATOR)
    for receipt in paid:
        now = int(clock() * 1000)
        record = transcript.record_for(run, receipt.attempt, [1, 2, 3], time_ms=now, receipts={1: receipt.to_json()})
        appender.append(record.model_copy(update=changes))


def read_transcript(path: Path) -> list[transcript.PublishedRound]:
    return transcript.read(path, public_bytes(AGGREGATOR))
