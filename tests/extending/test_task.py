"""The task of docs/EXTENDING.md: installed beside AFML, configured on the command line, trained."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.history import load_history
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.progress import Step
from afml.data.holdout import HoldoutDraw
from afml.data.rows import TableOptions
from afml.training.foreign import sandbox
from afml.training.inprocess import train_in_process
from afml.training.registry import agreed, code_digest
from afml.training.task import TaskKind
from afml.trial.kits import make_kits
from node.prepare import Given, prepare
from node.workspace import Workspace
from tests import warm
from tests.data.tables import write_text
from tests.extending.page import ROOT, TASK, additions
from tests.policies import allow_trials
from tests.training.contract import keeps_the_contract

NEW = additions()[TASK]
NODES = (1, 2, 3)
SLOPE = 0.8
SCHEMA = """
targets = ["days"]
[[columns]]
name = "age"
centre = 0
spread = 1
[[columns]]
name = "days"
centre = 0
spread = 1
"""

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="no Landlock: other packages' tasks are not started")


@dataclass(frozen=True)
class Trial:
    """Three institutions with a table each, and a run that was configured for the task.

    Attributes:
        root: Holds kits and work folders.
        run: As the coordinator signed it.
        site: Folder of the installed package.
    """

    root: Path
    run: RunConfig
    site: Path

    def work(self, node: int) -> Workspace:
        return Workspace(self.root / f"work-{node}")


def install(site: Path) -> None:
    """The new file and, of its package's metadata, the one line."""
    NEW.write(site)
    about = site / "median_task-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: median-task\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[afml.tasks]\n{NEW.line.replace(chr(34), '')}\n")


def prepared(root: Path, node: int) -> Path:
    """Some people of an institution; returns their card."""
    rng = np.random.default_rng(node)
    age = rng.normal(size=120).clip(-3, 3)
    days = SLOPE * age - 0.5 + rng.standard_t(2, size=120) / 10
    rows = [(f"n{node}p{row // 2}", f"{age[row]:.6f}", f"{days[row]:.6f}") for row in range(120)]
    table = write_text(root / f"node-{node}.csv", ("person", "age", "days"), rows)
    options, work = TableOptions(table=table, schema_file=root / "schema.toml"), Workspace(root / f"work-{node}")
    kit = load_node_kit(root / "kits" / f"node-{node}")
    prepare(kit, work, Given("table", options, HoldoutDraw(0.0)), Step("prepare", None, None))
    return work.card


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    root, site = tmp_path_factory.mktemp("trial"), tmp_path_factory.mktemp("site")
    install(site)
    make_kits(root / "kits", "test", len(NODES))
    allow_trials(root / "kits")
    (root / "schema.toml").write_text(SCHEMA)
    kit, out = root / "kits" / "coordinator", root / "run.json"
    for node in NODES:
        prepared(root, node).rename(root / f"card-{node}.json")
    typed = shlex.split(NEW.use.replace("--kit coordinator", f"--kit {kit}").replace("run.json", str(out)))
    assert typed[0] == "afml"
    more = ("--ple", "30", "--sample-rate", "1", "--learning-rate", "0.3", "--seed", "1")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, "-m", *typed, *more]
    done = warm.run(command, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr
    for node in NODES:
        (root / f"card-{node}.json").rename(root / f"work-{node}" / "card.json")
    assert "3 nodes, 1 features" in done.stdout
    return Trial(root, load_run(out, load_history(kit)), site)


@pytest.fixture
def kind(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskKind]:
    """The task, imported into this process."""
    monkeypatch.syspath_prepend(trial.site)
    code_digest.cache_clear()
    found = agreed(trial.run.task)
    assert not found.own
    yield found.imported()
    sys.modules.pop(found.module, None)
    code_digest.cache_clear()


def test_a_run_names_the_task_and_its_code(trial: Trial) -> None:
    assert (trial.run.task.kind, trial.run.task.version) == ("median", "1.0")
    assert [phase.parameters for phase in trial.run.phases] == [2]
    assert trial.run.rounds == 30
    assert len(NEW.source.splitlines()) <= 30


def test_the_task_keeps_the_contract(trial: Trial, kind: TaskKind) -> None:
    site = trial.work(1).prepared()
    kind.check(trial.run)
    assert kind.lengths(trial.run) == (2,)
    keeps_the_contract(lambda: kind.task(trial.run, site.public), trial.run, kind.enrolled(trial.run, site))


def test_it_learns_in_one_process(trial: Trial, kind: TaskKind) -> None:
    task = kind.task(trial.run, trial.work(1).prepared().public)
    train_in_process(trial.run, task, {n: kind.enrolled(trial.run, trial.work(n).prepared()) for n in NODES})
    task.model().save(trial.root / "model")
    found = task.model().arrays  # type: ignore[attr-defined]
    assert found["weight"].item() == pytest.approx(SLOPE, abs=0.1)
    assert found["bias"].item() == pytest.approx(-0.5, abs=0.1)
