"""Real processes through many rounds while somebody kills, stops and freezes them; `make soak` takes 2,000 rounds.

    AFML_SOAK_ROUNDS=2000 AFML_SOAK_SEED=7     how many; which faults, of whom and when

Updates are there beforehand (`benchmarks.party`), everything else is the product's: processes, sockets, TLS, ledgers,
ciphertexts. Each fault waits for a round, not for a clock.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afml.consortium.card import DataAgreement
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.ledger.transcript import read
from afml.ledger.verify import Evidence, verify
from afml.privacy.noise import with_fewest_bits
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from benchmarks.rounds import TASK
from crypto.public.signing import public_bytes
from node.journal import progress
from tests import warm
from tests.policies import allow_trials
from tests.processes import command, environment, listening

ROUNDS = int(os.environ.get("AFML_SOAK_ROUNDS", "6"))
SEED = int(os.environ.get("AFML_SOAK_SEED", "1"))
LONG = ROUNDS > 100
NODES, QUORUM, PARAMETERS, RUN = 4, 3, 2000, "bench"
DEADLINE_S = 5.0
_PATIENCE_S = 300.0


class Soak:
    """A consortium, its processes, and what has been done to them."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        roster = make_kits(root / "kits", RUN, NODES)
        allow_trials(root / "kits")
        phase = Phase(name="supplied", rounds=ROUNDS, sample_rate=1.0, clip_norm=1.0, noise_multiplier=400.0,
                      learning_rate=1.0, parameters=PARAMETERS)  # fmt: skip
        self.run = with_fewest_bits(RunConfig(
            run=RUN, consortium=roster.consortium, task=TASK,
            data=DataAgreement(kind="table", fingerprint="00", features=PARAMETERS),
            enrolled=dict.fromkeys(range(1, NODES + 1), 20), quorum=QUORUM, reserve_attempts=2 * ROUNDS + 20,
            budget=Budget(delta=1e-5, ple_sigma=2.0), phases=(phase,), deadline_s=DEADLINE_S, linger_s=_PATIENCE_S,
        ))  # fmt: skip
        write_run(root / "run.json", self.run, load_coordinator_key(root / "kits" / "coordinator"))
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, party: int) -> None:
        """Node `party`, or the aggregator for 0."""
        address = f"127.0.0.1:{self.port}"
        if party:
            words = [sys.executable, "-m", "benchmarks.party", str(self.root), str(party), address]
        else:
            words = command("aggregator", "--kit", self.root / "kits" / "aggregator", "--run", self.root / "run.json",
                            "--data", self.root / "aggregator", "--listen", address)  # fmt: skip
        with (self.root / f"{party}.log").open("ab") as log:
            self.processes[party] = warm.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=environment())

    def published(self) -> int:
        """Rounds so far, read beside the aggregator."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._store()) as store:
            return int(store.execute("SELECT coalesce(max(round), 0) FROM published").fetchone()[0])
        return 0

    def until(self, there: Callable[[], bool]) -> bool:
        """Wait for something while whoever has ended is started again; whether it came."""
        deadline = time.monotonic() + _PATIENCE_S
        while not there() and time.monotonic() < deadline:
            for party, process in list(self.processes.items()):
                if process.poll() not in (None, 0):
                    self.start(party)
            time.sleep(0.02)
        return there()

    def strike(self, kind: str, party: int) -> None:
        """Do something to a process, and undo it where it does not undo itself."""
        process, now = self.processes[party], self.published()
        if process.poll() is not None:
            return
        if kind == "freeze":
            process.send_signal(signal.SIGSTOP)
            frozen = time.monotonic() + 2 * DEADLINE_S
            self.until(lambda: self.published() > now + 1 or time.monotonic() > frozen)
            process.send_signal(signal.SIGCONT)
            return
        process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        process.wait(120)
        self.start(party)

    def close(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def _store(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.root / 'aggregator' / 'run.sqlite'}?mode=ro", uri=True)


@pytest.fixture
def soak(tmp_path: Path) -> Iterator[Soak]:
    made = Soak(tmp_path)
    yield made
    made.close()


def test_many_rounds_end_well_whatever_is_killed(soak: Soak) -> None:
    draw = random.Random(SEED)
    kinds = ["kill", "stop", "freeze"] if LONG else ["kill"]
    count = ROUNDS // 8 + 2
    faults = sorted((draw.randrange(ROUNDS), draw.choice(kinds), draw.randrange(NODES + 1)) for _ in range(count))
    for party in range(NODES + 1):
        soak.start(party)
    listening(soak.port)
    for round_number, kind, party in faults:
        assert soak.until(lambda wanted=round_number: soak.published() >= wanted), _where(soak)
        soak.strike(kind, party)
    assert soak.until(lambda: all(soak.processes[party].poll() == 0 for party in range(1, NODES + 1))), _where(soak)
    _ledgers_hold(soak)


def _where(soak: Soak) -> str:
    logs = {party: (soak.root / f"{party}.log").read_text()[-600:] for party in soak.processes}
    return f"seed {SEED}, at round {soak.published()}: {logs}"


def _ledgers_hold(soak: Soak) -> None:
    """All hold one model of all rounds, and each ledger every round that the signed transcript says it was in."""
    roster = load_aggregator_kit(soak.root / "kits" / "aggregator").roster
    rounds = read(soak.root / "aggregator" / "transcript.jsonl", bytes.fromhex(roster.aggregator_key))
    assert [one.round for one in rounds] == list(range(1, ROUNDS + 1))
    states = set()
    for node in range(1, NODES + 1):
        folder = soak.root / f"work-{node}"
        assert progress(folder / "runs" / RUN)[0] == ROUNDS
        states.add((folder / "runs" / RUN / "state.bin").read_bytes())
        key = public_bytes(load_node_kit(soak.root / "kits" / f"node-{node}").signing_key)
        assert not verify(folder / "ledger", key=key, node=node, evidence=Evidence(transcript=rounds)).findings
    assert len(states) == 1
