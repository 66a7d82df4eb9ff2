"""Somebody else's task through the whole line: processes, encryption, ledgers, audit; the product does not know it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.tasks.module import ModuleSettings
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from node.workspace import Workspace
from tests.processes import REPOSITORY
from tests.tenants.hospitals import NODES, ROUNDS, Hospitals


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
    assert trained.task.settings == {"hidden": 8} | ModuleSettings().model_dump(mode="json")
    assert (trained.data.kind, trained.data.features) == ("table", 3)  # age, dose, dose missing


def test_wrong_settings_data_and_options_are_one_line(hospitals: Hospitals) -> None:
    (hospitals.root / "wrong.toml").write_text("hidden = 0\n")
    for options, line in (
        (("--settings", hospitals.root / "wrong.toml"), "hidden: Input should be greater than or equal to 1"),
        (("--patterns", 4), "is for the masking task"),
        (("--task", "nothing"), "the task nothing is not installed here"),
        (("--task", "masking"), "trains on genotypes or matrix, the institutions prepared table"),
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
