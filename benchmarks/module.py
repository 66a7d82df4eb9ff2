"""A whole round of somebody else's network, training included: five nodes, the aggregator, real processes.

Beside it, on the same machine: the same network by Opacus alone in five processes at once (`benchmarks.opacus_alone`),
and a round of as many parameters in which nothing is trained (`benchmarks.rounds`): what the codec, the ledger and the
network cost by themselves. A round with training should cost little more than the two together:

    ratio = period with training / (period without + the five training steps at once)

A period is the time from one round's end, when the last node has applied its sum, to the next one's. Memory is that of
a node's processes together at its peak, a page that they share counted once, over the peak of Opacus alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from benchmarks.codec import on_the_wire
from benchmarks.module_data import SHAPES, rows
from benchmarks.rounds import NODES, measure
from crypto.public.backend import public_backend
from node import policyfile

TENANT = Path(__file__).parent / "tenant"
HELD_OUT = 1
"""A node keeps at least one person out of training; one more is prepared for it."""


@dataclass(frozen=True)
class Case:
    """A network and how it is trained: everybody in every round, so that rounds are alike."""

    task: str
    network: str
    parameters: int
    people: int
    rounds: int


CASES = {
    "1m": Case("bench-mlp", "mlp", 994_570, 64, 5),
    "11m": Case("bench-resnet", "resnet18", 11_172_810, 8, 4),
}
_LIMITS = {"module_round_ratio": 1.2, "module_bytes_up_per_parameter": 3.6, "module_rss_ratio": 2.0}
BARS = {f"{figure}_{name}": ("<=", limit) for name in CASES for figure, limit in _LIMITS.items()}


def run() -> dict[str, object]:
    """All figures of the section."""
    found: dict[str, object] = {}
    for name, case in CASES.items():
        found |= {f"module_{figure}_{name}": value for figure, value in figures(case).items()}
    return found


def figures(case: Case) -> dict[str, object]:
    """Round, bytes and memory of one network."""
    with tempfile.TemporaryDirectory(prefix="afml-module-") as folder:
        bench = _Bench(Path(folder), case)
        bench.prepare()
        alone_s, alone_mb = bench.alone()
        period_s, node_mb, sent = bench.federated()
    bare_s = statistics.median(measure(case.parameters, rounds=case.rounds).period_s)
    return {
        "round_s": round(period_s, 3),
        "round_without_training_s": round(bare_s, 3),
        "step_alone_s": round(alone_s, 3),
        "round_ratio": round(period_s / (bare_s + alone_s), 3),
        "bytes_up_per_parameter": round(sent / case.parameters, 3),
        "node_mb": round(node_mb, 1),
        "alone_mb": round(alone_mb, 1),
        "rss_ratio": round(node_mb / alone_mb, 2),
    }


class _Bench:
    """One network's folder: five prepared institutions and a signed run."""

    def __init__(self, root: Path, case: Case) -> None:
        self.root, self.case = root, case
        packages = root / "packages"
        source = root / "tenant"
        subprocess.run(["cp", "-r", str(TENANT), str(source)], check=True)  # building leaves files beside a source
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index",
             "--no-build-isolation", "--target", str(packages), str(source)], check=True,
        )  # fmt: skip
        here = str(Path(__file__).parents[1])
        self.environment: Mapping[str, str] = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(packages), here]),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }

    def _afml(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "afml", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=self.root)
        if done.returncode:
            raise RuntimeError(f"afml {arguments[0]} failed\n{done.stderr[-2000:]}")

    def prepare(self) -> None:
        """Kits, policies, five institutions' arrays, the run."""
        case, shape = self.case, SHAPES[self.case.network]
        roster = make_kits(self.root / "kits", "bench", NODES)
        (self.root / "schema.toml").write_text(
            f'targets = ["kind"]\n[array]\nshape = {list(shape)}\nlow = 0.0\nhigh = 1.0\n'
            f'[[columns]]\nname = "kind"\nkind = "category"\ncategories = {[str(kind) for kind in range(10)]}\n'
        )
        people = case.people + HELD_OUT
        for node in range(1, NODES + 1):
            kit = self.root / "kits" / f"node-{node}"
            policyfile.init(kit, policyfile.trial_policy(roster))
            features, targets = rows(shape, people, seed=node)
            np.save(self.root / f"{node}.npy", features)
            lines = [f"N{node}-{index},{target}" for index, target in enumerate(targets)]
            (self.root / f"{node}.csv").write_text("\n".join(["person,kind", *lines]) + "\n")
            self._afml(
                "prepare", "--kit", kit, "--work", self.root / f"work-{node}", "--task", case.task, "--data", "array",
                "--table", f"{node}.csv", "--schema", "schema.toml", "--features", f"{node}.npy",
                "--holdout", HELD_OUT / people,
            )  # fmt: skip
        self._afml(
            "configure", *(self.root / f"work-{node}" / "card.json" for node in range(1, NODES + 1)),
            "--kit", self.root / "kits" / "coordinator", "--out", "run.json", "--run", "bench", "--task", case.task,
            "--rounds", case.rounds, "--sample-rate", 1, "--ple", 1, "--learning-rate", 0.01,
        )  # fmt: skip

    def alone(self) -> tuple[float, float]:
        """(median seconds until five steps at once are done, MB of one of them)."""
        case = self.case
        command = [sys.executable, "-m", "benchmarks.opacus_alone", case.network, case.people, case.rounds]
        team = [
            subprocess.Popen(
                list(map(str, command)), env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(NODES)
        ]
        seconds = []
        for _ in range(case.rounds):
            start = time.perf_counter()
            for process in team:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            for process in team:
                assert process.stdout is not None
                if process.stdout.readline() != "done\n":
                    raise RuntimeError("Opacus alone failed")
            seconds.append(time.perf_counter() - start)
        told = [json.loads(process.stdout.read()) for process in team if process.stdout is not None]
        if any(process.wait() for process in team):
            raise RuntimeError("Opacus alone failed")
        return statistics.median(seconds[1:]), max(one["mb"] for one in told)

    def federated(self) -> tuple[float, float, int]:
        """(median period of the rounds, MB of one node's processes at their peak, bytes a node sent a round)."""
        address = f"127.0.0.1:{free_port()}"
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self.started("aggregator", [
                "-m", "afml", "aggregator", "--kit", "kits/aggregator", "--run", "run.json", "--data", "data",
                "--listen", address,
            ]))  # fmt: skip
            while "serving" not in (self.root / "aggregator.log").read_text():
                if server.poll() is not None:
                    raise RuntimeError((self.root / "aggregator.log").read_text())
                time.sleep(0.1)
            nodes = [
                stack.enter_context(self.started(f"node-{node}", [
                    "-m", "benchmarks.module_party", f"kits/node-{node}", f"work-{node}", "run.json", address,
                ]))
                for node in range(1, NODES + 1)
            ]  # fmt: skip
            peak = 0.0
            while nodes[0].poll() is None:
                peak = max(peak, tree_mb(nodes[0].pid))
                time.sleep(0.1)
            if any(process.wait(300) for process in [*nodes, server]):
                logs = "".join(path.read_text()[-1500:] for path in sorted(self.root.glob("*.log")))
                raise RuntimeError(f"a process of the run failed\n{logs}")
        ends = [max(times) for _, times in sorted(self._applied().items())]
        return statistics.median(b - a for a, b in pairwise(ends[1:])), peak, self._sent()

    @contextlib.contextmanager
    def started(self, name: str, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        with (self.root / f"{name}.log").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *arguments], stdout=out, stderr=subprocess.STDOUT, env=self.environment, cwd=self.root
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()

    def _applied(self) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        for path in self.root.glob("node-*.log"):
            for line in path.read_text().splitlines():
                entry = json.loads(line) if line.startswith('{"time"') else {"kind": ""}
                if entry["kind"] == "applied":
                    found.setdefault(entry["round"], []).append(entry["time"])
        assert all(len(times) == NODES for times in found.values()), "a node did not apply every round"
        return found

    def _sent(self) -> int:
        """Bytes of one node's upload on the wire: every chunk with its signature, framing and TLS records."""
        params = run_params(RunConfig.load(self.root / "run.json"))
        chunk = wire.UpdateChunk(
            index=1, payload=bytes(public_backend("ckks").upload_size(params)), signature=bytes(64)
        )
        one = on_the_wire(wire.UpdatePart(chunk=chunk).SerializeToString())
        return params.chunks(self.case.parameters) * one


def tree_mb(pid: int) -> float:
    """Resident size of a process and its children; what they share (libraries) is counted once.

    So is the memory through which they pass arrays, which none of them maps.
    """
    own, shared, passing = 0, 0, dict[int, int]()
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = one.memory_full_info()
                own, shared = own + memory.uss, max(shared, memory.rss - memory.uss)
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(link).startswith("/memfd:"):
                    found = link.stat()
                    passing[found.st_ino] = 512 * found.st_blocks
    return (own + shared + sum(passing.values())) / 2**20
