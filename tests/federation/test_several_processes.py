"""A node of two processes under torchrun: the same run as of one process; a dead worker costs an attempt at most."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import RunConfig
from afml.core.errors import TransportError
from afml.masking.masters import _RISK
from afml.privacy.noise import grid_for, round_grid
from afml.training.archive import read_archive
from afml.training.processes.group import ProcessLost
from afml.training.step import Trainer, apply_total
from afml.trial.processes import free_port
from node.contribution import Contribution
from node.journal import Journal
from node.workspace import Workspace, load_holdings
from tests.aggregator.machine import small_run
from tests.federation.parties import Consortium
from tests.processes import REPOSITORY, alive, command, environment


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("several processes"))
    yield made
    made.stop()


def _start_torchrun(consortium: Consortium, node: int, port: int, crash: str = "") -> subprocess.Popen[bytes]:
    # The `--` keeps torchrun from taking `--run` for an option of its own.
    one = command(*(() if crash else ("--",)), "node", "--kit", consortium.kit(node), "--work", consortium.work(node),
                  "--run", consortium.run_file(), "--aggregator", f"127.0.0.1:{port}", "--simulation",
                  crash=crash)  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with (consortium.root / f"node-{node}.log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, *torchrun, *one[1:]], stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY,
            env=environment() | {"AFML_TEST_MARK": str(consortium.root)},
        )  # fmt: skip
    consortium.processes.append(process)
    return process


def _risk_by_one_process(consortium: Consortium, config: RunConfig) -> np.ndarray:
    """Risk parameters after all risk rounds, every node one process."""
    held = {n: load_holdings(Workspace(consortium.work(n)), config) for n in config.nodes}
    task = held[1].task
    for round_number in range(1, config.phases[0].rounds + 1):
        total = np.zeros(task.length(0), np.int64)
        for node in config.nodes:
            update = Trainer(config, task, held[node].enrolled).update(node, round_number)
            total += update.rounded(round_grid(config, round_number))
        apply_total(task, config, round_number, config.nodes, total)
    return read_archive(io.BytesIO(task.state()))[_RISK]


def test_a_worker_dies_and_the_node_starts_again_and_ends_with_the_model_of_one_process(
    consortium: Consortium,
) -> None:
    config = consortium.configure(reserve_attempts=3)
    port = free_port()
    server = consortium.start_aggregator(port)
    others = [consortium.start_node(n, port) for n in (2, 3)]
    # Only workers give: this one dies with its part of the second round in its hands.
    first = _start_torchrun(consortium, 1, port, crash="before afml.training.processes.group:Group.give 2")
    assert first.wait(240) != 0
    log = consortium.log("node-1")
    complaints = [line for line in log.splitlines() if line.startswith("afml: ")]
    assert len(complaints) == 1, log
    assert "process 0 of this node's 2: another of them ended" in complaints[0]
    assert "start the node again" in complaints[0]
    assert "Traceback" not in log.partition("torch/distributed/elastic")[0]
    assert set(consortium.spends(1)) == {(1, 1)}, "what was not computed was not spent"

    again = _start_torchrun(consortium, 1, port)
    for process, name in ((again, "node-1"), (others[0], "node-2"), (others[1], "node-3"), (server, "aggregator")):
        assert process.wait(240) == 0, consortium.log(name)
    assert len({consortium.model_card(n)["digest"] for n in config.nodes}) == 1
    assert {round_number for round_number, _ in consortium.spends(1)} == set(range(1, config.rounds + 1))
    assert alive(consortium.root) == []
    assert [path.name for path in (consortium.work(1) / ".processes").iterdir()] == ["lock"]

    # Two processes round their sums otherwise than one: now and then a coordinate falls on the next grid step,
    # which the parameters of a round carry and later gradients answer to. Nothing else may differ.
    stored = Journal(Workspace(consortium.work(1)).run("run")).state()
    assert stored is not None
    phase, alone = config.phases[0], _risk_by_one_process(consortium, config)
    step = phase.learning_rate / sum(config.enrolled.values()) * grid_for(config, phase).grid.step
    together = read_archive(io.BytesIO(stored[2]))[_RISK]
    assert np.abs(together - alone).max() <= phase.rounds * step
    assert np.abs(alone).max() > 10 * step


@pytest.mark.parametrize("error", [ProcessLost("gone"), MemoryError("no memory"), ValueError("a defect")])
@pytest.mark.parametrize("answers", [True, False])
def test_whatever_fails_before_the_spend_declines_the_attempt(error: Exception, answers: bool) -> None:
    declined = []

    class Client:
        def decline(self, attempt: Attempt) -> None:
            declined.append(attempt)
            if not answers:
                raise TransportError("no aggregator answers")

    class Failing:
        def update(self, *_: object) -> None:
            raise error

    run = small_run()
    party: Any = SimpleNamespace(  # training comes before keys and ledger; neither is here
        run=run, kit=SimpleNamespace(node=1), trainer=Failing(), client=Client(), tell_round=lambda *_: None
    )
    witnessing: Any = SimpleNamespace()  # ledgers were compared before
    binding = Binding("r", run.digest(), Attempt(1, 2), (1, 2, 3))
    with pytest.raises(type(error)):
        Contribution(party, witnessing)._train(binding)
    assert declined == [Attempt(1, 2)]
