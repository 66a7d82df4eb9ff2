"""A federation of many nodes, and one of many rounds: real processes on loopback. Figures under "federation".

`keys_s_64`, `countersign_s_64`: 64 nodes agree on keys, and countersign each other's ledgers (`benchmarks.many` says
what is timed); the latter is the larger of the exchange before the first round and the one after the last. All nodes
and the aggregator share this machine's cores, and its disk, which syncs for every one of them.

`round_growth_2000`: what a round costs in the end over what it costs in the beginning: processor seconds of all
processes (three nodes, whose update is one ciphertext and there beforehand, and the aggregator) for 200 rounds
up to the last but five, over those for rounds 101-300. Files lie in memory where the machine has /dev/shm, so that a
disk's moods do not count. `round_growth_wall_2000`: the same in wall-clock seconds, a median round over a median round.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from afml.consortium.card import DataAgreement
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.privacy.noise import with_fewest_bits
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from benchmarks.many import measure
from benchmarks.rounds import TASK, start_node, started
from node import policyfile

NODES, ROUNDS, WINDOW = 64, 2000, 200
FEW = 3
BARS = {
    f"keys_s_{NODES}": ("<=", 3.0),
    f"countersign_s_{NODES}": ("<=", 5.0),
    f"round_growth_{ROUNDS}": ("<=", 1.1),
}
"""On two quiet cores."""
_MEMORY = Path("/dev/shm")


def run() -> dict[str, object]:
    return {"cores": os.cpu_count() or 0} | letters(NODES) | growth(ROUNDS, WINDOW)


def letters(nodes: int) -> dict[str, object]:
    """Seconds of keys and countersigning."""
    with tempfile.TemporaryDirectory(prefix="afml-federation-") as folder:
        root, address = Path(folder), f"127.0.0.1:{free_port()}"
        write(root, nodes, rounds=1)
        with started(root, address, plain=False):
            took = measure(root, address, range(1, nodes + 1))
    return {
        f"keys_s_{nodes}": round(took.keys_s, 2),
        f"countersign_s_{nodes}": round(max(took.meet_s, took.part_s), 2),
        f"countersign_before_s_{nodes}": round(took.meet_s, 2),
        f"countersign_after_s_{nodes}": round(took.part_s, 2),
    }


def growth(rounds: int, window: int) -> dict[str, object]:
    """What late rounds cost over early ones."""
    place = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="afml-federation-", dir=place) as folder:
        root, address = Path(folder), f"127.0.0.1:{free_port()}"
        write(root, FEW, rounds)
        early, late = (window // 2, window // 2 + window), (rounds - 5 - window, rounds - 5)
        used: dict[int, float] = {}
        with started(root, address, plain=False) as (server, nodes):
            nodes += [start_node(root, number, address, plain=False) for number in range(1, FEW + 1)]
            processes = [server, *nodes]
            times = root / "node-1.log"
            while server.poll() is None and not any(process.poll() for process in nodes):
                done = times.read_text().count('"kind": "applied"') if times.exists() else 0
                for at in (*early, *late):
                    if done >= at and at not in used:
                        used[at] = _cpu_seconds([process.pid for process in processes])
                time.sleep(0.05)
            if server.wait() or any(process.wait(300) for process in nodes):
                raise RuntimeError("\n".join(path.read_text()[-2000:] for path in sorted(root.glob("*.log"))))
        wall = _applied(times)

    def cost(start: int, end: int) -> float:
        return statistics.median(b - a for a, b in zip(wall[start:end], wall[start + 1 : end + 1], strict=False))

    cpu = [used[end] - used[start] for start, end in (early, late)]
    return {
        f"round_growth_{rounds}": round(cpu[1] / cpu[0], 3),
        f"round_growth_wall_{rounds}": round(cost(*late) / cost(*early), 3),
        "round_cpu_s_first": round(cpu[0] / window, 4),
        "round_cpu_s_last": round(cpu[1] / window, 4),
    }


def write(root: Path, nodes: int, rounds: int) -> None:
    """Kits and a signed run of updates that fit into one ciphertext."""
    roster = make_kits(root / "kits", "bench", nodes)
    for number in range(1, nodes + 1):
        policy = policyfile.trial_policy(roster)
        many = policy.model_copy(update={"run": policy.run.model_copy(update={"rounds": rounds})})
        policyfile.init(root / "kits" / f"node-{number}", many)
    phase = Phase(
        name="supplied", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=200.0, learning_rate=1.0,
        parameters=1024,
    )  # fmt: skip
    config = RunConfig(
        run="bench", consortium="bench", task=TASK,
        data=DataAgreement(kind="table", fingerprint="00", features=1024),
        enrolled=dict.fromkeys(range(1, nodes + 1), 20), quorum=nodes,
        budget=Budget(delta=1e-5, ple_sigma=2.0), phases=(phase,),
    )  # fmt: skip
    write_run(root / "run.json", with_fewest_bits(config), load_coordinator_key(root / "kits" / "coordinator"))


def _cpu_seconds(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.cpu_times().user + process.cpu_times().system
    return total


def _applied(log: Path) -> list[float]:
    entries = [json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"time"')]
    return [entry["time"] for entry in entries if entry["kind"] == "applied"]
