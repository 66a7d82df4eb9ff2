"""Speed of accounting and of the ledger. Figures under "privacy"."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget
from afml.core.config import canonical_json
from afml.ledger.checkpoint import origin_of
from afml.ledger.entries import Spend
from afml.ledger.people import People, load_key
from afml.ledger.reservation import Limits, Reservation
from afml.ledger.store import Ledger
from afml.ledger.verify import verify
from afml.privacy.accountant import composed_profile
from afml.privacy.events import Event, Gaussian, SubsampledGaussian
from afml.privacy.ple import ple
from benchmarks import training
from crypto.public.signing import generate_signing_key, public_bytes

BARS = {
    "prv_ple_1000_rounds_s": ("<=", 1.0),
    "ledger_append_ms": ("<=", 10.0),
    "verify_1e5_events_s": ("<=", 20.0),
    "dp_step_time_ratio": ("<=", 3.0),
    "dp_step_memory_ratio": ("<=", 2.0),
}
PEOPLE = [f"person-{i}" for i in range(500)]
DELTA = 1e-5


def accounting() -> float:
    """Seconds for PRV and PLE of 1,000 subsampled rounds, libraries loaded; median of 5."""
    event = SubsampledGaussian(0.1, 3.0, 1000)
    ple([event], DELTA)
    seconds = []
    for _ in range(5):
        composed_profile.cache_clear()
        started = time.perf_counter()
        assert ple([event], DELTA).accountant == "PRV"
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def spend(run: int, round: int, mechanism: Event, rounds: int) -> Spend:
    """One round of one run."""
    return Spend(
        run=f"run-{run}",
        config_digest="ab" * 32,
        attempt=Attempt(round, 1),
        phase="risk",
        cohort=(1, 2, 3, 4, 5),
        noise="distributed",
        mechanism=mechanism,
        broken_multiplier=mechanism.noise_multiplier / 2,
        clip_norm=1.0,
        plan=(SubsampledGaussian(1.0, mechanism.noise_multiplier, rounds),),
    )


def append_ms(folder: Path) -> float:
    """Median milliseconds of a durable append for 500 people, budget check included."""
    key = generate_signing_key()
    budget = Budget(delta=DELTA, ple_sigma=1.0)
    limits, first = Limits(budget, budget), spend(1, 1, Gaussian(20.0), 200)
    plan = Reservation("run-1", first.config_digest, first.plan, limits, days=1)
    milliseconds = []
    with Ledger.open(folder, key, origin=origin_of(public_bytes(key))) as ledger:
        ledger.plans.reserve(plan, PEOPLE)
        for round in range(1, 201):
            entry = spend(1, round, Gaussian(20.0), 200)
            started = time.perf_counter()
            ledger.append(entry, PEOPLE, limits)
            milliseconds.append(1000 * (time.perf_counter() - started))
    return statistics.median(milliseconds)


def _reserve(ledger: Ledger, wanted: Reservation, commitment: bytes, enrolment: int) -> None:
    """The entry of a reservation, without its checks."""
    told = {"people": len(PEOPLE), "enrolment": commitment.hex(), "expires_ms": int((time.time() + 86400) * 1000)}
    plan = canonical_json([event.to_json() for event in wanted.plan]).decode()
    ledger.add({**wanted.to_json(), **told}, {"run": wanted.run, "enrolment": enrolment, "plan": plan})


def verify_s(folder: Path, events: int = 100_000, runs: int = 10) -> float:
    """Seconds to verify a ledger of `events` spends of 500 people in `runs` runs.

    Written in one transaction through the ledger's own code path, or writing would take minutes.
    """
    key, each = generate_signing_key(), events // runs
    with Ledger.open(folder, key, origin=origin_of(public_bytes(key))) as ledger, ledger.transaction():
        people = People(ledger.database, load_key(folder, create=False))
        tokens = people.tokens(PEOPLE)
        enrolment, commitment = people.enrol(tokens)
        limits = Limits(*[Budget(delta=DELTA, ple_sigma=10.0)] * 2)
        for run in range(runs):
            mechanism = Gaussian(500.0)
            first = spend(run, 1, mechanism, each)
            _reserve(
                ledger, Reservation(first.run, first.config_digest, first.plan, limits, days=1), commitment, enrolment
            )
            for round in range(1, each + 1):
                entry = spend(run, round, mechanism, each)
                found = ple([SubsampledGaussian(1.0, 500.0, each * run + round)], DELTA)
                said = {"epsilon": found.epsilon, "ple_sigma": found.sigma, "accountant": found.accountant}
                claim = {"delta": DELTA, **said, "fixed_plan": said}
                body = {**entry.to_json(), "people": len(tokens), "enrolment": commitment.hex()}
                columns = {
                    "run": entry.run,
                    "round": round,
                    "attempt": 1,
                    "enrolment": enrolment,
                    "mechanism": canonical_json(mechanism.to_json()).decode(),
                    "broken_multiplier": entry.broken_multiplier,
                    "plan": canonical_json([event.to_json() for event in entry.plan]).decode(),
                }
                ledger.add({**body, **limits.to_json(), "claim": claim}, columns)
    started = time.perf_counter()
    result = verify(folder, key=public_bytes(key))
    assert result.ok, result.findings[:3]
    assert result.entries == events + runs  # a plan was set aside for each
    return time.perf_counter() - started


def run() -> dict[str, object]:
    """All figures of this section."""
    with tempfile.TemporaryDirectory(dir=".") as scratch:  # not /tmp: it may be memory, where syncing is free
        return {
            "prv_ple_1000_rounds_s": round(accounting(), 3),
            "ledger_append_ms": round(append_ms(Path(scratch) / "append"), 2),
            "verify_1e5_events_s": round(verify_s(Path(scratch) / "verify"), 1),
            **training.figures(),
        }
