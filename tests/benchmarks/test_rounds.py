"""The processes of a measured round, and the task that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import IntegrityError
from afml.training.step import apply_total
from afml.training.task import Task
from benchmarks import agreement, rounds
from benchmarks.supplied import SuppliedTask, supplied_trainer
from tests import warm


def _run(parameters: int) -> RunConfig:
    phase = Phase(
        name="supplied", rounds=2, sample_rate=1.0, clip_norm=1.0, noise_multiplier=8.0, learning_rate=0.5,
        parameters=parameters,
    )  # fmt: skip
    return RunConfig(
        run="bench", consortium="bench", task=rounds.TASK,
        data=DataAgreement(kind="table", fingerprint="00", features=parameters),
        enrolled={1: 10, 2: 10, 3: 10}, quorum=3, budget=Budget(delta=1e-5, ple_sigma=2.0), phases=(phase,), seed=1,
    )  # fmt: skip


def test_a_supplied_update_is_the_same_in_every_round_and_differs_between_nodes() -> None:
    first, other = supplied_trainer(_run(8), 1, 2.0), supplied_trainer(_run(8), 2, 2.0)
    assert np.array_equal(first.update(1, 1).values, first.update(1, 2).values)
    assert not np.array_equal(first.update(1, 1).values, other.update(2, 1).values)


def test_the_task_applies_sums_and_keeps_its_state() -> None:
    run = _run(5)
    task: Task = SuppliedTask(run)
    task.apply(0, np.arange(5.0), 30)
    again: Task = SuppliedTask(run)
    assert again.digest() != task.digest()
    again.load_state(task.state())
    assert again.digest() == task.digest()
    apply_total(task, run, 2, (1, 2, 3), np.ones(5, np.int64))
    assert again.digest() != task.digest()
    with pytest.raises(IntegrityError, match="another run"):
        SuppliedTask(_run(6)).load_state(task.state())


def test_a_plain_round_passes_through_processes_and_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LAUNCH", warm.Popen)
    found = rounds.measure(2000, plain=True, rounds=2)
    assert len(found.seconds) == 1
    assert set(found.stages) == {"encode", "send_and_sum", "apply"}


def test_comparing_models_is_priced_for_every_node_and_token() -> None:
    found = agreement.figures(64, 3, round_s=1e6, round_bytes=1e6)
    assert found["agreement_bytes_ratio"] == round(1e6 / (1e6 - 7 * agreement.digest_bytes()), 6) > 1
    assert found["agreement_time_ratio"] >= 1
