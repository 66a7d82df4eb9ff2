"""A release is one round of everybody: planned, checked, kept over a restart, and refused as anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, RunConfig, TaskChoice
from afml.core.errors import ConfigError, IntegrityError
from afml.privacy.budget import balance
from afml.privacy.noise import grid_for, node_std
from afml.privacy.plan import planned_events
from afml.tasks.release.blocks import Block, Blocks
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import ReleasePhase, release_plan, require_release, sum_std
from afml.tasks.release.task import ReleaseTask
from afml.training.inprocess import train_in_process
from afml.training.planning import Rounds, Terms
from afml.training.step import Trainer
from crypto.public.random import SeededRandom
from tests.training.contract import keeps_the_contract

VECTOR = Blocks(Block("heights", (3,), 6.0, centre=1.7), Block("ill", (1,), 0.5, centre=0.5, sure=True))
PHASES = (ReleasePhase("one", 4), ReleasePhase("two", 4, weight=3.0))


class People(list[list[float]]):
    def digest(self) -> str:
        return str(self)


class Measured(ReleaseTask):
    def vector(self, phase: int) -> Blocks:
        return VECTOR

    def values(self, phase: int, enrolled: Any, people: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        rows = np.array([enrolled[person] for person in people]).reshape(len(people), 4)
        return {"heights": rows[:, :3], "ill": rows[:, 3:]}

    def model(self) -> ReleaseModel:
        sums = {name: found.sum for name, found in self.estimates(0).items()}
        return ReleaseModel(sums, {"complete": self.complete}, pages=_page)


def _page(folder: Path) -> None:
    (folder / "page.md").write_text("read me")


def run_of(*, seed: int | None = 3, **terms: Any) -> RunConfig:
    plan = release_plan(PHASES, Rounds(), Terms(ple_sigma=0.5, reserve_attempts=0, **terms))
    return RunConfig(
        run="sums", consortium="c", task=TaskChoice(kind="sums", version="1", code=""),
        data=DataAgreement(kind="table", fingerprint="00", features=4), enrolled={1: 20, 2: 20, 3: 20}, quorum=3,
        budget=Budget(delta=1e-5, ple_sigma=0.5), reserve_attempts=0, phases=plan.phases, seed=seed,
    )  # fmt: skip


def people(seed: int) -> People:
    rng = np.random.default_rng(seed)
    return People([[*rng.normal(1.7, 0.1, 3), float(rng.integers(0, 2))] for _ in range(20)])


def test_a_release_keeps_the_contract_of_tasks() -> None:
    run = run_of()
    keeps_the_contract(lambda: Measured(run), run, people(1))


def test_the_plan_costs_what_was_asked_for_and_shares_it() -> None:
    run = run_of()
    found = balance(run.budget, planned_events(run))
    assert found.within
    assert found.spent == pytest.approx(0.5, abs=1e-3)
    one, two = run.phases
    assert one.noise_multiplier / two.noise_multiplier == pytest.approx(3**0.5, rel=1e-3)
    assert {(phase.rounds, phase.sample_rate, phase.clip_norm) for phase in run.phases} == {(1, 1.0, 1.0)}


def test_sums_of_all_institutions_come_out_within_their_noise() -> None:
    run = run_of()
    task, enrolled = Measured(run), {node: people(node) for node in run.nodes}
    assert not task.complete
    train_in_process(run, task, enrolled)
    assert task.complete
    truth = np.array([row for node in run.nodes for row in enrolled[node]]).sum(axis=0)
    out = task.estimates(1)
    z = np.concatenate(
        [(out["heights"].sum - truth[:3]) / out["heights"].std, (out["ill"].sum - truth[3:]) / out["ill"].std]
    )
    assert np.abs(z).max() < 4


@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_the_noise_of_a_sum_is_what_is_said(noise: str) -> None:
    run = run_of(seed=None, noise=noise)
    trainer = Trainer(run, Measured(run), People())
    std = sum_std(run, 0)
    grid = grid_for(run, run.phases[0]).grid
    drawn = []
    for index in range(400):
        stream = SeededRandom(9, index)
        total = np.zeros(4)
        for node in run.nodes:
            own = stream.child(node)
            values = trainer.private_update(0, own, node_std(run, run.phases[0]))
            total = total + grid.dequantise(grid.quantise(values, own.child("rounding")))
        drawn.append(total)
    found = float(np.std(drawn))
    assert 0.92 * std < found < 1.08 * std  # 1,600 draws: the standard error is 1.8 %


def test_a_restart_knows_the_sums(tmp_path: Path) -> None:
    run = run_of()
    task = Measured(run)
    train_in_process(run, task, {node: people(node) for node in run.nodes})
    again = Measured(run)
    again.load_state(task.state())
    assert again.digest() == task.digest()
    assert again.people(0) == 60
    assert again.model().digest() == task.model().digest()
    task.model().save(tmp_path / "model")
    assert (tmp_path / "model" / "page.md").read_text() == "read me"
    assert ReleaseModel.load(tmp_path / "model").digest() == task.model().digest()


def test_a_state_with_a_sum_and_nobody_in_it_is_refused() -> None:
    run = run_of()
    task = Measured(run)
    task.apply(0, np.ones(4), 60)
    task._people[0] = 0
    with pytest.raises(IntegrityError, match="another run"):
        Measured(run).load_state(task.state())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rounds": 2}, "one round of everybody"),
        ({"sample_rate": 0.5}, "one round of everybody"),
        ({"clip_norm": 2.0}, "one round of everybody"),
        ({"parameters": 5}, "one of 5, two of 4; its settings mean one of 4, two of 4"),
        ({"name": "other"}, "other of 4"),
    ],
)
def test_a_run_that_is_no_such_release_is_refused(changed: dict[str, Any], said: str) -> None:
    run = run_of()
    require_release(run, PHASES)
    phases = (run.phases[0].model_copy(update=changed), run.phases[1])
    with pytest.raises(ConfigError, match=said):
        require_release(run.model_copy(update={"phases": phases}), PHASES)


@pytest.mark.parametrize("asked", [{"sample_rate": 0.5}, {"clip_norm": 2.0}, {"learning_rate": 0.1}])
def test_numbers_that_a_release_sets_itself_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no such number"):
        release_plan(PHASES, Rounds(**asked), Terms())
    same = dict.fromkeys(asked, 1.0)  # what a release has in any case
    assert release_plan(PHASES, Rounds(**same), Terms()) == release_plan(PHASES, Rounds(), Terms())


def test_a_release_neither_predicts_nor_begins_from_a_model() -> None:
    task = Measured(run_of())
    with pytest.raises(ConfigError, match="predicts nothing"):
        task.predict(people(1), np.arange(2))
    with pytest.raises(ConfigError, match="begins at no saved model"):
        task.load_model({})
