"""A second run of somebody else's task: it begins at the model of the first, and trains a part of it another way."""

from __future__ import annotations

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from afml.training.start import begin
from node.workspace import Workspace
from tests.tenants.hospitals import NODES, Hospitals


@pytest.mark.usefixtures("tenant")
def test_a_run_goes_on_from_its_model_with_adam_and_its_first_layer_frozen(
    hospitals: Hospitals, trained: RunConfig
) -> None:
    """Processes of their own, a saved model, state of an optimiser: the bits are still those of one process."""
    from mlp_tenant.task import MLP

    first = hospitals.work(1) / "models" / "first"
    (hospitals.root / "second.toml").write_text(
        'optimiser = "adam"\nschedule = "cosine"\nwarmup = 1\ntrainable = ["2.*"]\n'
    )
    cards = [hospitals.work(node) / "card.json" for node in range(1, NODES + 1)]
    hospitals.done(
        "configure", *cards, "--kit", hospitals.kit("coordinator"), "--out", hospitals.root / "second.json",
        "--run", "second", "--task", "mlp", "--settings", hospitals.root / "second.toml", "--start", first,
        "--epochs", 1.5, "--sample-rate", 0.5, "--ple", 2, "--budget", 4, "--seed", 6,
    )  # fmt: skip
    run = RunConfig.load(hospitals.root / "second.json")
    assert run.start == ArrayModel.load(first).digest()
    assert (run.rounds, run.phases[0].parameters, run.phases[0].learning_rate) == (3, 9, 0.01)
    ended = hospitals.train("second")
    assert [code for code, _ in ended] == [0] * (NODES + 1), "\n".join(text for _, text in ended)
    prepared = {node: Workspace(hospitals.work(node)).prepared() for node in run.nodes}
    task = MLP.task(run, prepared[1].public)
    begin(task, run, [first])
    train_in_process(run, task, {node: MLP.enrolled(run, one) for node, one in prepared.items()})
    earlier, reference = ArrayModel.load(first), task.model()
    for node in run.nodes:
        model = ArrayModel.load(hospitals.work(node) / "models" / "second")
        assert model.digest() == reference.digest()
        assert model.card["start"] == earlier.digest()
        moved = {name for name, array in model.arrays.items() if not np.array_equal(array, earlier.arrays[name])}
        assert moved == {"2.weight", "2.bias"}


def test_a_model_that_is_not_the_runs_is_one_line(hospitals: Hospitals, trained: RunConfig) -> None:
    (hospitals.root / "wider.toml").write_text("hidden = 9\n")
    options = ("--settings", hospitals.root / "wider.toml", "--start", hospitals.work(1) / "models" / "first")
    done = hospitals.configure("wider", *options)
    assert done.returncode == 2
    assert "differs in 3 arrays, first in 0.bias: 8 in the model, 9 in the task" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (hospitals.root / "wider.json").exists()
