"""Somebody else's module at a node of two processes: in its sandbox, or within the node where its code is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.consortium.kit import load_roster
from afml.consortium.run import RunConfig
from afml.privacy.noise import grid_for
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from node.policy import FILE
from node.policyfile import init, trial_policy
from node.workspace import Workspace
from tests.tenants.hospitals import NODES, ROUNDS, Hospitals


@pytest.fixture
def one_row(tmp_path: Path, site_packages: Path) -> Hospitals:
    """Hospitals whose people have one row each, as ghost clipping wants them; they have a budget for one run."""
    made = Hospitals(tmp_path / "one row", site_packages, rows=1)
    made.root.mkdir()
    made.prepare()
    return made


def _trust(hospitals: Hospitals, code: str) -> None:
    for node in range(1, NODES + 1):
        kit = hospitals.kit(f"node-{node}")
        policy = trial_policy(load_roster(kit))
        (kit / FILE).unlink()
        init(kit, policy.model_copy(update={"run": policy.run.model_copy(update={"trusted_code": (code,)})}))


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize("ghost", [False, True], ids=["in its sandbox", "ghost, within the node"])
def test_two_processes_end_with_the_model_of_one(one_row: Hospitals, ghost: bool) -> None:
    from mlp_tenant.task import MLP

    name = "ghost" if ghost else "sandbox"
    settings = one_row.root / f"{name}.toml"
    settings.write_text(f"ghost = {str(ghost).lower()}\n")
    done = one_row.configure(name, "--settings", settings, "--seed", 7)
    assert done.returncode == 0, done.stderr
    run = RunConfig.load(one_row.root / f"{name}.json")
    if ghost:
        _trust(one_row, run.task.code)
    ended = one_row.train(name, several=1)
    assert [code for code, _ in ended] == [0] * (NODES + 1), "\n".join(text for _, text in ended)

    models = [ArrayModel.load(one_row.work(node) / "models" / name) for node in run.nodes]
    assert len({model.digest() for model in models}) == 1
    prepared = {node: Workspace(one_row.work(node)).prepared() for node in run.nodes}
    task = MLP.task(run, prepared[1].public)
    before = task.model()
    train_in_process(run, task, {node: MLP.enrolled(run, one) for node, one in prepared.items()})
    # Two processes add up in another order: now and then a turned coordinate falls on the next grid step.
    phase = run.phases[0]
    step = phase.learning_rate / (phase.sample_rate * sum(run.enrolled.values())) * grid_for(run, phase).grid.step
    for key, alone in task.model().arrays.items():
        np.testing.assert_allclose(models[0].arrays[key], alone, rtol=1e-6, atol=ROUNDS * step)
        assert np.abs(alone - before.arrays[key]).max() > 20 * step
