"""What a history is about: a consortium, a signed run, and updates of which every sum shows whose are in it.

Node i sends 2^i times the round's vector, plus what rounding does to it, which a seed draws. So a sum is right, to
the bit, exactly if it holds every member of its cohort once; and a wrong one shows who is missing or was counted twice.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.kit import AggregatorKit, load_aggregator_kit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.privacy.noise import round_grid
from afml.training.step import Trainer, apply_total
from afml.trial.kits import make_kits
from benchmarks.rounds import TASK
from benchmarks.supplied import Nobody, SuppliedTask
from crypto.public.random import RandomSource
from tests.policies import allow_trials
from tests.simulate.faults import Schedule

PARAMETERS, PEOPLE, RESERVE = 300, 20, 20
DEADLINE_S = 30.0


def fast_folder() -> Path:
    """A folder in memory where there is one: histories sync thousands of files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="afml-simulate-", dir=memory if os.access(memory, os.W_OK) else None))


@dataclass
class Consortium:
    """Kits of five institutions, made once, and the runs that are signed for them."""

    root: Path
    nodes: dict[int, NodeKit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kits = self.root / "kits"
        make_kits(kits, "test", 5)
        allow_trials(kits)
        self.nodes = {number: load_node_kit(kits / f"node-{number}") for number in range(1, 6)}
        self.aggregator: AggregatorKit = load_aggregator_kit(kits / "aggregator")
        self._key = load_coordinator_key(kits / "coordinator")

    def kit(self, node: int) -> Path:
        """Folder of a node's kit."""
        return self.root / "kits" / f"node-{node}"

    def run_file(self, plan: Schedule) -> Path:
        """The signed run of a schedule's size; half of all schedules verify their sums."""
        path = self.root / f"run-{plan.nodes}-{plan.quorum}-{plan.rounds}.json"
        if not path.exists():
            write_run(path, _run(plan), self._key)
        return path


def _run(plan: Schedule) -> RunConfig:
    phase = Phase(
        name="supplied", rounds=plan.rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=40.0, learning_rate=1.0,
        parameters=PARAMETERS,
    )  # fmt: skip
    return RunConfig(
        run="r", consortium="test", task=TASK, data=DataAgreement(kind="table", fingerprint="00", features=PARAMETERS),
        enrolled=dict.fromkeys(range(1, plan.nodes + 1), PEOPLE), quorum=plan.quorum, bits=24,
        budget=Budget(delta=1e-5, ple_sigma=50.0), reserve_attempts=RESERVE, deadline_s=DEADLINE_S, phases=(phase,),
        seed=1, verified_sums=plan.nodes == 4,
    )  # fmt: skip


@dataclass(frozen=True)
class PowersOfTwo(Trainer):
    """A trainer whose update names its node.

    Attributes:
        node: Which.
        busy: Called while it computes.
    """

    node: int = field(kw_only=True)
    busy: Callable[[], None] = field(kw_only=True, default=lambda: None)

    def private_update(self, phase: int, stream: RandomSource, std: float) -> NDArray[np.float64]:
        self.busy()
        assert stream.path is not None
        return 2.0**self.node * std / 256 * base(int(str(stream.path[-1])))


@functools.cache
def base(round_number: int) -> NDArray[np.float64]:
    """The vector of a round."""
    return np.random.default_rng(round_number).standard_normal(PARAMETERS)


@functools.lru_cache(maxsize=256)
def _fields(digest: bytes, node: int, round_number: int) -> NDArray[np.int64]:
    run = _known[digest]
    update = PowersOfTwo(run, SuppliedTask(run), Nobody(), node=node).update(node, round_number)
    return update.rounded(round_grid(run, round_number))


_known: dict[bytes, RunConfig] = {}


def fields(run: RunConfig, node: int, round_number: int) -> NDArray[np.int64]:
    """What a node sends in a round, in steps of the grid, int64 [coordinates]."""
    _known.setdefault(run.digest(), run)
    return _fields(run.digest(), node, round_number)


def fault_free(run: RunConfig, cohorts: Sequence[Sequence[int]]) -> SuppliedTask:
    """The task after a run without faults over the same cohorts, one a round: no wire, no file, no key."""
    task = SuppliedTask(run)
    for round_number, cohort in enumerate(cohorts, start=1):
        total = np.sum([fields(run, node, round_number) for node in cohort], axis=0)
        apply_total(task, run, round_number, cohort, total)
    return task


def weight(run: RunConfig, round_number: int, total: NDArray[np.int64]) -> int:
    """The sum of 2^i over the nodes i whose updates a sum holds, by least squares."""
    one = fields(run, run.nodes[0], round_number).astype(np.float64) / 2 ** run.nodes[0]
    return round(float(one @ total / (one @ one)))


def told(data: bytes) -> str:
    """A short name of some bytes."""
    return hashlib.sha256(data).hexdigest()[:12]
