"""A whole federated round: five node processes and the aggregator process on loopback, nothing mocked.

What is timed: from the aggregator's log line "cohort fixed" (the attempt opens for uploads) to the moment when the
last node has applied the sum. In between, at every node: check the cohort's signatures, record the spend in the
ledger (synced), turn, quantise, pad, encrypt, store (synced), sign, send; at the aggregator: check every chunk and
signature, spool (synced), add in worker processes, store the sum (synced), append the transcript, publish; at every
node again: fetch, check that the sum holds its own ciphertexts, decrypt, check residuals and norm, dequantise, apply,
store the model (synced), report its digest. Mutual TLS throughout, pads on, bits as a coordinator gets them. What is
not: training (the update, a float64 vector, is there beforehand), start-up and key agreement, the first round, in which
keys are confirmed (shown apart), and collecting Ready tokens (in `round_period_s_*`, the time from one round's end to
the next one's).

The plain round is the same with float32 chunks instead of ciphertexts (`benchmarks.plain`). The memory figure is the
growth of the aggregator's process tree (sum of resident sizes, pages shared between processes counted in each)
from just before the first node connects to its peak, with five uploads of 10M parameters.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from afml.consortium.card import DataAgreement
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig, TaskChoice
from afml.consortium.runfile import write_run
from afml.privacy.noise import with_fewest_bits
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from benchmarks.plain import PLAIN
from node import policyfile

MILLION = 1_000_000
NODES = 5
PEOPLE = 500
ROUNDS = 6
LAUNCH: type[subprocess.Popen[bytes]] = subprocess.Popen
"""What starts a party, or something that takes what it takes and is one."""
"""The first one confirms keys and warms caches; the median is over the others."""
TASK = TaskChoice(kind="supplied", version="1", code="")
"""`benchmarks.supplied`, which no package installs; not imported here, where memory is measured."""


@dataclass(frozen=True)
class Round:
    """Wall-clock seconds of one run's rounds, and what the aggregator's processes grew by."""

    first_s: float
    seconds: list[float]
    period_s: list[float]
    stages: dict[str, float]
    extra_rss_mb: float

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def figures() -> dict[str, object]:
    """Rounds of 1M and 4M parameters, encrypted and plain, and the aggregator's memory at 10M."""
    found: dict[str, object] = {"round_cores": os.cpu_count() or 0}
    for millions in (1, 4):
        blind, plain = measure(millions * MILLION), measure(millions * MILLION, plain=True)
        found |= {
            f"round_s_{millions}m": round(blind.median_s, 3),
            f"round_worst_s_{millions}m": round(max(blind.seconds), 3),
            f"round_first_s_{millions}m": round(blind.first_s, 3),
            f"round_period_s_{millions}m": round(statistics.median(blind.period_s), 3),
            f"round_plain_s_{millions}m": round(plain.median_s, 3),
            f"round_ratio_to_plain_{millions}m": round(blind.median_s / plain.median_s, 2),
        }
        found |= {f"round_{stage}_s_{millions}m": round(s, 3) for stage, s in blind.stages.items()}
    found["round_ratio_to_plain"] = found["round_ratio_to_plain_4m"]
    found["aggregator_process_extra_rss_mb"] = round(measure(10 * MILLION, rounds=2).extra_rss_mb, 1)
    return found


def measure(
    parameters: int,
    *,
    plain: bool = False,
    rounds: int = ROUNDS,
    beside: Sequence[object] = (),
    log: Path | None = None,
) -> Round:
    """Run `rounds` rounds of `parameters` coordinates.

    Args:
        parameters: Length of an update.
        plain: Without encryption.
        rounds: How many.
        beside: A module and its arguments, after folder and address, that run meanwhile.
        log: Where what that says is kept.
    """
    with tempfile.TemporaryDirectory(prefix="afml-rounds-") as folder:
        root = Path(folder)
        _write_run(root, parameters, rounds, plain)
        address = f"127.0.0.1:{free_port()}"
        with started(root, address, plain) as (server, nodes):
            memory = _Memory(server.pid)
            for number in range(1, NODES + 1):
                nodes.append(start_node(root, number, address, plain))
            others = [_start(root, "beside", beside[0], root, address, *beside[1:])] if beside else []
            while server.poll() is None and not any(process.poll() for process in nodes):
                memory.look()
                time.sleep(0.05)
            if server.poll() != 0 or any(process.wait(300) for process in nodes):
                logs = "".join(path.read_text() for path in sorted(root.glob("*.log")))
                raise RuntimeError(f"a process of the round failed\n{logs[-4000:]}")
            for other in others:
                other.terminate()
                other.wait()
            if log is not None:
                log.write_bytes((root / "beside.log").read_bytes())
        return _read_logs(root, rounds, memory.extra_mb)


def _write_run(root: Path, parameters: int, rounds: int, plain: bool) -> None:
    """Kits and a signed run: one full-batch phase with distributed noise, a secure source of noise."""
    roster = make_kits(root / "kits", "bench", NODES + 1)  # one more is on the roster, and in no run
    for number in range(1, NODES + 1):
        policyfile.init(root / "kits" / f"node-{number}", policyfile.trial_policy(roster))
    phase = Phase(
        name="supplied", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=8.0, learning_rate=1.0,
        parameters=parameters,
    )  # fmt: skip
    config = RunConfig(
        run="bench", consortium="bench", task=TASK,
        data=DataAgreement(kind="table", fingerprint="00", features=parameters),
        enrolled=dict.fromkeys(range(1, NODES + 1), PEOPLE), quorum=NODES,
        budget=Budget(delta=1e-5, ple_sigma=2.0), phases=(phase,), backend=PLAIN.name if plain else "ckks",
    )  # fmt: skip
    write_run(root / "run.json", with_fewest_bits(config), load_coordinator_key(root / "kits" / "coordinator"))


@contextlib.contextmanager
def started(
    root: Path, address: str, plain: bool
) -> Iterator[tuple[subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A serving aggregator; whatever was started is stopped at the end."""
    server = _start_aggregator(root, address, plain)
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        while "serving" not in (root / "aggregator.log").read_text():
            if server.poll() is not None:
                raise RuntimeError((root / "aggregator.log").read_text())
            time.sleep(0.1)
        time.sleep(2.0)  # its workers have started
        yield server, nodes
    finally:
        for process in [server, *nodes]:
            if process.poll() is None:
                process.terminate()
            process.wait()


def _start(root: Path, log: str, *command: object) -> subprocess.Popen[bytes]:
    """One party: a module and its arguments."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", *map(str, command)]
    with (root / f"{log}.log").open("wb") as out:
        return LAUNCH(arguments, stdout=out, stderr=subprocess.STDOUT, env=os.environ | threads)


def _start_aggregator(root: Path, address: str, plain: bool) -> subprocess.Popen[bytes]:
    """The encrypted one is the product's own command."""
    if plain:
        return _start(root, "aggregator", "benchmarks.plain_aggregator", root, address)
    kit, run, data = root / "kits" / "aggregator", root / "run.json", root / "aggregator"
    return _start(
        root, "aggregator", "afml", "aggregator", "--kit", kit, "--run", run, "--data", data, "--listen", address
    )


def start_node(root: Path, number: int, address: str, plain: bool) -> subprocess.Popen[bytes]:
    options = ["--plain"] if plain else []
    return _start(root, f"node-{number}", "benchmarks.party", root, number, address, *options)


class _Memory:
    """Resident size of a process tree, above what it was at first."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._first = self._peak = self._size()

    def _size(self) -> int:
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [self._process, *self._process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
        return total

    def look(self) -> None:
        self._peak = max(self._peak, self._size())

    @property
    def extra_mb(self) -> float:
        return (self._peak - self._first) / 2**20


def _read_logs(root: Path, rounds: int, extra_rss_mb: float) -> Round:
    """Round times out of what the processes said: the aggregator's own log, the nodes' progress."""
    opened, published = {}, {}
    for line in (root / "aggregator.log").read_text().splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        at = dt.datetime.fromisoformat(entry["timestamp"]).timestamp() if "timestamp" in entry else 0.0
        if entry.get("event") == "cohort fixed":
            opened[entry["round"]] = at
        elif entry.get("event") == "published":
            published[entry["round"]] = at
    stored: dict[int, list[float]] = {number: [] for number in range(1, rounds + 1)}
    applied: dict[int, list[float]] = {number: [] for number in range(1, rounds + 1)}
    for path in root.glob("node-*.log"):
        for line in path.read_text().splitlines():
            entry = json.loads(line) if line.startswith('{"time"') else {"kind": ""}
            if entry["kind"] == "applied":
                applied[entry["round"]].append(entry["time"])
            elif entry["kind"] == "sending":
                stored[entry["round"]].append(entry["time"])
    assert all(len(times) == NODES for times in applied.values()), "a node did not apply every round"
    ends = {number: max(times) for number, times in applied.items()}
    # The log leaves out what is said more than so often in a minute (`afml.core.logging`): those rounds are not timed.
    seconds = {number: ends[number] - opened[number] for number in ends if number in opened}
    later = [number for number in range(2, rounds + 1) if number in opened and number in published]
    stages = {
        "encode": statistics.median(max(stored[n]) - opened[n] for n in later),
        "send_and_sum": statistics.median(published[n] - max(stored[n]) for n in later),
        "apply": statistics.median(ends[n] - published[n] for n in later),
    }
    return Round(seconds[1], [seconds[n] for n in later], [ends[n] - ends[n - 1] for n in later], stages, extra_rss_mb)


if __name__ == "__main__":
    print(measure(int(float(sys.argv[1]) * MILLION), plain="--plain" in sys.argv))
