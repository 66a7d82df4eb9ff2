"""Somebody else's task through the whole line: processes, encryption, ledgers, audit; the product does not know it."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from node.workspace import Workspace
from tests import warm
from tests.policies import allow_trials
from tests.processes import REPOSITORY, command, environment, listening

NODES, PEOPLE, ROUNDS = 3, 40, 3
SCHEMA = """
person = "patient"
targets = ["ill"]
[[columns]]
name = "age"
low = 0.0
high = 100.0
[[columns]]
name = "dose"
centre = 5.0
spread = 2.0
missing = "indicator"
fill = 5.0
[[columns]]
name = "ill"
kind = "binary"
"""


def _table(path: Path, node: int) -> None:
    """Some people have several rows, some cells are empty."""
    rng = np.random.default_rng(node)
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["patient", "age", "dose", "ill"])
        for person in range(PEOPLE):
            ill = int(rng.random() < 0.5)
            for _ in range(1 + person % 3):
                dose = "" if rng.random() < 0.1 else f"{5 + ill + rng.normal():.3f}"
                writer.writerow([f"N{node}-{person}", f"{50 + 20 * ill * rng.random():.2f}", dose, ill])


class Hospitals:
    """Three institutions with tables, and the tenant installed at each."""

    def __init__(self, root: Path, site_packages: Path) -> None:
        self.root = root
        paths = [str(site_packages), str(REPOSITORY)]
        self.environment = environment() | {"PYTHONPATH": os.pathsep.join(paths)}

    def afml(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return warm.run(command(*arguments), env=self.environment, cwd=self.root)

    def done(self, *arguments: object) -> str:
        done = self.afml(*arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def kit(self, party: object) -> Path:
        return self.root / "kits" / str(party)

    def work(self, node: int) -> Path:
        return self.root / f"work-{node}"

    def prepare(self) -> None:
        make_kits(self.root / "kits", "hospitals", NODES)
        allow_trials(self.root / "kits")
        (self.root / "schema.toml").write_text(SCHEMA)
        for node in range(1, NODES + 1):
            _table(self.root / f"{node}.csv", node)
            self.done(
                "prepare", "--kit", self.kit(f"node-{node}"), "--work", self.work(node), "--task", "mlp",
                "--table", self.root / f"{node}.csv", "--schema", self.root / "schema.toml", "--seed", 3,
            )  # fmt: skip

    def configure(self, name: str, *options: object) -> subprocess.CompletedProcess[str]:
        cards = [self.work(node) / "card.json" for node in range(1, NODES + 1)]
        return self.afml(
            "configure", *cards, "--kit", self.kit("coordinator"), "--out", self.root / f"{name}.json", "--run", name,
            "--task", "mlp", "--rounds", ROUNDS, "--ple", 2, "--sample-rate", 0.5, *options,
        )  # fmt: skip

    def train(self, name: str) -> list[tuple[int, str]]:
        """Every party a process; (exit code, what it said) of the aggregator and of each node."""
        port = free_port()
        commands = [[
            "aggregator", "--kit", self.kit("aggregator"), "--run", self.root / f"{name}.json",
            "--data", self.root / f"aggregator-{name}", "--listen", f"127.0.0.1:{port}",
        ]]  # fmt: skip
        commands += [[
            "node", "--kit", self.kit(f"node-{node}"), "--work", self.work(node), "--run", self.root / f"{name}.json",
            "--aggregator", f"127.0.0.1:{port}", "--simulation",
        ] for node in range(1, NODES + 1)]  # fmt: skip
        processes = []
        for arguments in commands:
            processes.append(
                warm.Popen(
                    command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    env=self.environment, cwd=self.root,
                )
            )  # fmt: skip
            if len(processes) == 1:
                listening(port)
        try:
            told = [process.communicate(timeout=600)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
        return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory, site_packages: Path) -> Hospitals:
    made = Hospitals(tmp_path_factory.mktemp("hospitals"), site_packages)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def trained(hospitals: Hospitals) -> RunConfig:
    done = hospitals.configure("first", "--seed", 5)
    assert done.returncode == 0, done.stderr
    ended = hospitals.train("first")
    assert [code for code, _ in ended] == [0] * (NODES + 1), "\n".join(text for _, text in ended)
    return RunConfig.load(hospitals.root / "first.json")


@pytest.fixture
def tenant(site_packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site_packages))


def _model(hospitals: Hospitals, node: int, run: str) -> ArrayModel:
    return ArrayModel.load(hospitals.work(node) / "models" / run)


@pytest.mark.usefixtures("tenant")
def test_it_trains_to_the_bits_of_the_run_in_one_process(hospitals: Hospitals, trained: RunConfig) -> None:
    from mlp_tenant.task import MLP

    prepared = {node: Workspace(hospitals.work(node)).prepared() for node in trained.nodes}
    task = MLP.task(trained, prepared[1].public)
    train_in_process(trained, task, {node: MLP.enrolled(trained, one) for node, one in prepared.items()})
    reference = task.model()
    for node in trained.nodes:
        model = _model(hospitals, node, "first")
        assert model.digest() == reference.digest()
        assert set(model.arrays) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    start = MLP.task(trained, prepared[1].public).model()
    assert any(not np.array_equal(reference.arrays[name], start.arrays[name]) for name in start.arrays)


def test_ledgers_hold_its_rounds_and_verify(hospitals: Hospitals, trained: RunConfig) -> None:
    for node in trained.nodes:
        said = hospitals.done(
            "audit", "verify", hospitals.work(node) / "ledger", "--roster", hospitals.kit(f"node-{node}/roster.json"),
            "--node", node, "--transcript", hospitals.root / "aggregator-first" / "transcript.jsonl",
            "--countersignatures", NODES - 1,
        )  # fmt: skip
        assert "nothing found" in said
        with sqlite3.connect(hospitals.work(node) / "ledger" / "ledger.db") as ledger:
            bodies = [json.loads(body) for (body,) in ledger.execute("SELECT body FROM entries WHERE kind = 'spend'")]
        assert [(body["phase"], body["round"]) for body in bodies] == [("train", n + 1) for n in range(ROUNDS)]


def test_a_run_names_the_code_and_the_card_of_the_data(trained: RunConfig) -> None:
    assert (trained.task.kind, trained.task.version, len(trained.task.code)) == ("mlp", "1.0", 64)
    assert trained.task.settings == {"hidden": 8}
    assert (trained.data.kind, trained.data.features) == ("table", 3)  # age, dose, dose missing


def test_wrong_settings_data_and_options_are_one_line(hospitals: Hospitals) -> None:
    (hospitals.root / "wrong.toml").write_text("hidden = 0\n")
    for options, line in (
        (("--settings", hospitals.root / "wrong.toml"), "hidden: Input should be greater than or equal to 1"),
        (("--patterns", 4), "is for the masking task"),
        (("--task", "nothing"), "the task nothing is not installed here"),
        (("--task", "masking"), "trains on genotypes, the institutions prepared table"),
    ):
        done = hospitals.configure("wrong", *options)
        assert done.returncode == 2
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (hospitals.root / "wrong.json").exists()


def test_other_code_at_a_node_is_refused_before_anything_is_spent(
    hospitals: Hospitals, trained: RunConfig, site_packages: Path, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", f"{site_packages}/.", str(tmp_path)], check=True)
    source = tmp_path / "mlp_tenant" / "task.py"
    source.write_text(source.read_text().replace("nn.Tanh()", "nn.ReLU()"))
    other = Hospitals(hospitals.root, tmp_path)
    done = other.afml(
        "node", "--kit", other.kit("node-1"), "--work", other.work(1), "--run", other.root / "first.json",
        "--aggregator", "127.0.0.1:9", "--simulation",
    )  # fmt: skip
    assert done.returncode == 2
    assert "the run names code" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_product_does_not_know_it() -> None:
    found = subprocess.run(
        ["grep", "-rnwi", "mlp", "afml", "node", "aggregator", "crypto", "--include=*.py"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    assert sys.modules.get("mlp_tenant") is None or "mlp" in sys.modules["mlp_tenant"].__name__
