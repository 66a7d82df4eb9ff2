"""What an aggregator weighs: with many nodes, with many idle watchers, after many rounds. Figures under "federation".

An aggregator process as `afml aggregator` starts it, over mutual TLS, real ciphertexts; its nodes are one other
process (`benchmarks.crowd`). Weight is the resident size of its process tree, at its highest, pages that processes
share counted in each. Environment: NODES (64), PARAMETERS (1000000), WATCHERS (1000), ROUNDS (1000).

* `rss_ratio_64_vs_5`: a round of 64 nodes against one of 5, 1M parameters each;
* `rss_ratio_round_1000`: after 1,000 rounds of three nodes against after 100;
* `rss_kb_per_watcher`: what 1,000 idle watchers add, each a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from afml.consortium.card import DataAgreement
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.privacy.noise import with_fewest_bits
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from benchmarks import rounds
from benchmarks.crowd import Crowd

SECTION = "federation"
BARS = {"rss_ratio_64_vs_5": ("<=", 1.15), "rss_ratio_round_1000": ("<=", 1.05)}
FILES = 8192
"""Open files that this process and the aggregator may have: 1,000 watchers are 1,000 connections."""


def run() -> dict[str, object]:
    """All of them."""
    nodes, parameters = int(os.environ.get("NODES", "64")), int(os.environ.get("PARAMETERS", "1000000"))
    few, many = weight(5, parameters), weight(nodes, parameters)
    found: dict[str, object] = {
        "rss_mb_5": round(few, 1),
        f"rss_mb_{nodes}": round(many, 1),
        f"rss_ratio_{nodes}_vs_5": round(many / few, 3),
    }
    found |= watchers(int(os.environ.get("WATCHERS", "1000")))
    return found | lasting(int(os.environ.get("ROUNDS", "1000")))


def weight(nodes: int, parameters: int) -> float:
    """Megabytes that the aggregator's processes take at most in two rounds."""
    with _served(nodes, parameters, 2) as (crowd, memory):
        crowd.enrol()
        for number in (1, 2):
            crowd.play(number)
        return memory.peak_mb


def watchers(count: int) -> dict[str, object]:
    """What so many idle watchers add, and how long a round takes beside them against one without."""
    with _served(64, 1000, 2) as (crowd, memory):  # one node has few streams of announcements
        crowd.enrol()
        alone = _timed(crowd, 1)
        before = memory.now_mb
        with crowd.watching(count):
            added = memory.now_mb - before
            beside = _timed(crowd, 2)
    return {
        "watchers": count,
        "rss_kb_per_watcher": round(added * 1024 / count, 1),
        "round_s_alone": round(alone, 3),
        "round_s_beside_watchers": round(beside, 3),
    }


def lasting(count: int) -> dict[str, object]:
    """The weight after so many rounds against that after a tenth of them, and seconds of late and early rounds."""
    with _served(3, 1000, count) as (crowd, memory):
        crowd.enrol()
        sizes, seconds = [], []
        for number in range(1, count + 1):
            seconds.append(_timed(crowd, number))
            sizes.append(memory.now_mb)
    tenth = max(1, count // 10)
    late, early = sorted(seconds[-tenth:])[tenth // 2], sorted(seconds[:tenth])[tenth // 2]
    return {
        f"rss_ratio_round_{count}": round(sizes[-1] / sizes[tenth - 1], 3),
        f"round_time_ratio_{count}": round(late / early, 3),
    }


def _timed(crowd: Crowd, number: int) -> float:
    began = time.perf_counter()
    crowd.play(number)
    return time.perf_counter() - began


class _Memory(rounds._Memory):
    """The same, looked at all the time."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    @property
    def peak_mb(self) -> float:
        """The most so far."""
        return self._peak / 2**20

    @property
    def now_mb(self) -> float:
        """What it is."""
        return self._size() / 2**20

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.look()


@contextlib.contextmanager
def _served(nodes: int, parameters: int, count: int) -> Iterator[tuple[Crowd, _Memory]]:
    """An aggregator that serves a run of so many nodes and rounds, and those nodes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    with tempfile.TemporaryDirectory(prefix="afml-load-") as folder:
        root = Path(folder)
        config, address = _signed(root, nodes, parameters, count), f"127.0.0.1:{free_port()}"
        with rounds.started(root, address, plain=False) as (server, _):
            memory = _Memory(server.pid)
            crowd = Crowd(address, root / "kits", config)
            try:
                yield crowd, memory
            finally:
                memory.end()
                crowd.close()


def _signed(root: Path, nodes: int, parameters: int, count: int) -> RunConfig:
    make_kits(root / "kits", "bench", nodes)
    phase = Phase(
        name="supplied", rounds=count, sample_rate=1.0, clip_norm=1.0, noise_multiplier=8.0, learning_rate=1.0,
        parameters=parameters,
    )  # fmt: skip
    config = with_fewest_bits(RunConfig(
        run="bench", consortium="bench", task=rounds.TASK,
        data=DataAgreement(kind="table", fingerprint="00", features=parameters),
        enrolled=dict.fromkeys(range(1, nodes + 1), rounds.PEOPLE), quorum=nodes,
        budget=Budget(delta=1e-5, ple_sigma=20.0), phases=(phase,),
    ))  # fmt: skip
    write_run(root / "run.json", config, load_coordinator_key(root / "kits" / "coordinator"))
    return config
