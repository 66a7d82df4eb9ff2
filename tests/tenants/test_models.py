"""A model after its run: scored at home, looked at, exported, used on new people, scored by all institutions."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from afml.data.source import open_source
from afml.tasks.evaluation.exact import auc
from afml.tasks.evaluation.kind import EVALUATION
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.release.plan import sum_std
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from afml.training.shelf import find_model
from node.workspace import Workspace
from tests.cli.jsonpage import keys
from tests.tenants.hospitals import NODES, Hospitals


def _folder(hospitals: Hospitals, node: int, run: str = "first") -> Path:
    return hospitals.work(node) / "models" / run


def _forward(arrays: Any, features: np.ndarray) -> np.ndarray:
    """The tenant's module, written out."""
    hidden = np.tanh(features @ arrays["0.weight"].T + arrays["0.bias"])
    return (hidden @ arrays["2.weight"].T + arrays["2.bias"])[:, 0]


def _held_out(hospitals: Hospitals, node: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features, truth, person of each row) of the people kept out at a node."""
    prepared = Workspace(hospitals.work(node)).prepared("holdout")
    source, places = open_source(prepared.folder), prepared.enrolled
    rows = source.rows_of(places)
    return (
        source.features[rows],
        source.targets[rows][:, 0],
        np.repeat(np.arange(len(places)), source.row_counts[places]),
    )


@pytest.mark.usefixtures("trained")
def test_every_node_scores_the_model_on_its_own_people_exactly(hospitals: Hospitals) -> None:
    for node in range(1, NODES + 1):
        arrays = ArrayModel.load(_folder(hospitals, node)).arrays
        features, truth, people = _held_out(hospitals, node)
        stored = json.loads(Workspace(hospitals.work(node)).evaluation("first").read_text())
        (found,) = stored["outcomes"]
        said = _forward(arrays, features)
        assert stored["people"] == people.max() + 1
        assert found["target"] == "ill"
        assert found["auc"] == pytest.approx(auc(said, truth, 1 / np.bincount(people)[people]))


def test_a_model_folder_says_what_it_is_and_what_it_cost(hospitals: Hospitals, trained: RunConfig) -> None:
    folders = [_folder(hospitals, node) for node in trained.nodes]
    card = json.loads(hospitals.done("model", "show", folders[0], "--json"))
    assert card["digest"] == ArrayModel.load(folders[1]).digest()
    assert card["task"] == trained.task.model_dump(mode="json")
    assert (card["version"], card["start"], card["insecure"]) == (1, "", True)
    assert card["people"] == {str(node): count for node, count in trained.enrolled.items()}
    page = hospitals.done("model", "show", folders[0])
    assert page == (folders[0] / "MODEL.md").read_text()
    assert "insecure: simulation" in page
    assert json.loads((folders[0] / "privacy.json").read_text())["insecure"] is True
    listed = hospitals.done("model", "list", hospitals.work(1) / "models")
    assert f"first\t{card['digest']}\t1\t-\t-" in listed
    told = json.loads(hospitals.done("model", "list", hospitals.work(1) / "models", "--json"))
    assert set(told) == keys("model list")
    (first,) = (one for one in told["models"] if one["run"] == "first")
    assert (first["digest"], first["folder"], told["damaged"]) == (card["digest"], str(folders[0]), [])


@pytest.mark.usefixtures("trained")
def test_a_damaged_model_hides_no_other(hospitals: Hospitals, tmp_path: Path) -> None:
    shelf = tmp_path / "models"
    for name in ("cut", "edited", "whole"):
        shutil.copytree(_folder(hospitals, 1), shelf / name)
    cut = (shelf / "cut" / "model.npz").read_bytes()
    (shelf / "cut" / "model.npz").write_bytes(cut[: len(cut) // 2])
    card = shelf / "edited" / "model.json"
    card.write_text(card.read_text().replace('"first"', '"other"'))
    done = hospitals.afml("model", "list", shelf)
    digest = ArrayModel.load(shelf / "whole").digest()
    assert done.stdout.splitlines()[1].startswith(f"first\t{digest}")
    assert len(done.stdout.splitlines()) == 2
    (line,) = done.stderr.splitlines()
    assert done.returncode == 6
    assert line.startswith(f"afml: {shelf / 'cut'}, {shelf / 'edited'}: cannot be read")
    assert find_model(digest, [shelf]).digest() == digest
    shutil.rmtree(shelf / "whole")
    with pytest.raises(IntegrityError):
        find_model(digest, [shelf])
    assert hospitals.afml("model", "list", tmp_path / "nowhere").returncode == 2


@pytest.mark.usefixtures("trained")
def test_other_programs_read_what_is_exported(hospitals: Hospitals, tmp_path: Path) -> None:
    arrays = ArrayModel.load(_folder(hospitals, 1)).arrays
    for form, load in (
        ("safetensors", safetensors.numpy.load_file),
        ("torch", lambda path: {k: v.numpy() for k, v in torch.load(path, weights_only=True).items()}),
        ("npz", np.load),
    ):
        out = tmp_path / f"model.{form}"
        hospitals.done("model", "export", _folder(hospitals, 1), "--format", form, "--out", out)
        found = load(out)
        assert set(found) == set(arrays)
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.usefixtures("trained")
def test_it_predicts_for_people_kept_out_and_for_a_table_without_outcomes(hospitals: Hospitals, tmp_path: Path) -> None:
    arrays = ArrayModel.load(_folder(hospitals, 2)).arrays
    kept = tmp_path / "kept.tsv"
    hospitals.done("predict", _folder(hospitals, 2), "--data", hospitals.work(2), "--out", kept)
    features, _, _ = _held_out(hospitals, 2)
    said = np.loadtxt(kept, delimiter="\t", skiprows=1, usecols=2)
    np.testing.assert_allclose(said, _forward(arrays, features), rtol=1e-4, atol=1e-6)
    assert kept.stat().st_mode & 0o077 == 0
    table, new = tmp_path / "new.csv", tmp_path / "new.tsv"
    table.write_text("patient,age,dose\nA,50,5\nB,90,\nA,60,7\n")
    hospitals.done("predict", _folder(hospitals, 2), "--table", table, "--out", new)
    lines = [line.split("\t") for line in new.read_text().splitlines()]
    assert lines[0] == ["person", "row", "output1"]
    assert [line[:2] for line in lines[1:]] == [["A", "1"], ["A", "3"], ["B", "2"]]
    rows = np.array([[0.5, 0, 0], [0.6, 1, 0], [0.9, 0, 1]])
    np.testing.assert_allclose([float(line[2]) for line in lines[1:]], _forward(arrays, rows), rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("trained")
def test_what_cannot_be_predicted_is_one_line_and_no_file(hospitals: Hospitals, tmp_path: Path) -> None:
    out, table = tmp_path / "out.tsv", tmp_path / "new.csv"
    table.write_text("patient,age\nA,50\n")
    other = tmp_path / "schema.toml"
    other.write_text('person = "patient"\ntargets = ["ill"]\n[[columns]]\nname = "age"\nlow = 0\nhigh = 1\n'
                     '[[columns]]\nname = "ill"\nkind = "binary"\n')  # fmt: skip
    model = _folder(hospitals, 1)
    for arguments, line in (
        ((model, "--table", table), "has no column 'dose'"),
        ((model, "--table", table, "--schema", other), "is made for the data table"),
        ((model,), "give one of them"),
        ((model, "--data", hospitals.work(1), "--schema", other), "goes with --table"),
        ((model, "--table", table, "--features", table), "does not go with data of the kind table"),
        ((tmp_path, "--table", table), "model does not exist"),
    ):
        done = hospitals.afml("predict", *arguments, "--out", out)
        assert done.returncode != 0
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not out.exists()


def _evaluation(hospitals: Hospitals, name: str, *options: object, **given: object) -> subprocess.CompletedProcess[str]:
    model = ArrayModel.load(_folder(hospitals, 1)).digest()
    settings = {"model": model, "outcome": "binary", "bins": 4} | given
    (hospitals.root / "evaluation.json").write_text(json.dumps(settings))
    cards = [hospitals.work(node) / "card.json" for node in range(1, NODES + 1)]
    return hospitals.afml(
        "configure", *cards, "--kit", hospitals.kit("coordinator"), "--out", hospitals.root / f"{name}.json", "--run",
        name, "--task", "evaluation", "--settings", hospitals.root / "evaluation.json", "--ple", 2, *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scored(hospitals: Hospitals, trained: RunConfig) -> RunConfig:
    done = _evaluation(hospitals, "scored", "--seed", 5)
    assert done.returncode == 0, done.stderr
    ended = hospitals.train("scored")
    assert [code for code, _ in ended] == [0] * (NODES + 1), "\n".join(text for _, text in ended)
    return RunConfig.load(hospitals.root / "scored.json")


def test_all_institutions_score_it_together_with_noise_and_pay_for_it(hospitals: Hospitals, scored: RunConfig) -> None:
    run = scored
    prepared = {node: Workspace(hospitals.work(node)).prepared("holdout") for node in run.nodes}
    assert run.people == "holdout"
    assert run.enrolled == {node: len(one.enrolled) for node, one in prepared.items()}
    settings = EvaluationSettings.model_validate(run.task.settings)
    exact = np.zeros((2, settings.bins))
    for node in run.nodes:
        features, truth, people = _held_out(hospitals, node)
        said = _forward(ArrayModel.load(_folder(hospitals, node)).arrays, features)
        for row, person in enumerate(people):  # one by one: what the task does by arrays
            bin_of = int((said[row] >= settings.edges).sum())
            exact[int(truth[row]), bin_of] += 1 / (people == person).sum()
    found = ArrayModel.load(_folder(hospitals, 1, "scored"))
    std = sum_std(run, 0)
    assert np.abs(found.arrays["sums"] - exact).max() <= 6 * std
    assert np.abs(found.arrays["sums"] - exact).max() > 0
    assert len({ArrayModel.load(_folder(hospitals, node, "scored")).digest() for node in run.nodes}) == 1
    told = json.loads((_folder(hospitals, 2, "scored") / "evaluation.json").read_text())
    assert told["noise_std"] == pytest.approx(std, rel=1e-3)
    assert told["people"] == sum(run.enrolled.values())
    assert "| auc |" in (_folder(hospitals, 3, "scored") / "evaluation.md").read_text()
    assert "scored" in hospitals.done("audit", "show", hospitals.work(1) / "ledger")
    verified = hospitals.done(
        "audit", "verify", hospitals.work(1) / "ledger", "--roster", hospitals.kit("node-1/roster.json"), "--node", 1
    )
    assert "nothing found" in verified


@pytest.mark.usefixtures("tenant")
def test_the_evaluation_is_that_of_the_run_in_one_process(hospitals: Hospitals, scored: RunConfig) -> None:
    run = scored
    prepared = {node: Workspace(hospitals.work(node)).prepared("holdout") for node in run.nodes}
    task = EVALUATION.task(run, prepared[1].public)
    train_in_process(run, task, {node: EVALUATION.enrolled(run, one) for node, one in prepared.items()})
    assert task.model().digest() == ArrayModel.load(_folder(hospitals, 1, "scored")).digest()


@pytest.mark.usefixtures("trained")
def test_an_evaluation_that_cannot_be_is_one_line_before_anything_is_spent(hospitals: Hospitals) -> None:
    for options, given, line in (
        ((), {"model": "ill"}, "model: String should match pattern"),
        ((), {"low": 1, "high": 0}, "low must be below high"),
        (("--clip-norm", 2), {}, "a release has no such number"),
    ):
        done = _evaluation(hospitals, "wrong", *options, **given)
        assert done.returncode != 0
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1
    for given, line in (
        ({"model": "1" * 64}, "the model 111111111111 is not here"),
        ({"outcome": "quantitative"}, "'ill' is binary, not quantitative"),
        ({"target": "well"}, "name one of the outcomes ill"),
    ):
        assert _evaluation(hospitals, "wrong", "--seed", 5, "--force", **given).returncode == 0
        done = hospitals.afml(
            "node", "--kit", hospitals.kit("node-1"), "--work", hospitals.work(1), "--run",
            hospitals.root / "wrong.json", "--aggregator", "127.0.0.1:9", "--simulation",
        )  # fmt: skip
        assert done.returncode != 0
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_card_that_does_not_say_how_many_are_kept_out_is_refused(hospitals: Hospitals, trained: RunConfig) -> None:
    silent = Hospitals(hospitals.root / "silent", Path(hospitals.environment["PYTHONPATH"].split(":")[0]))
    silent.root.mkdir()
    for node in trained.nodes:
        hospitals.done(
            "prepare", "--kit", hospitals.kit(f"node-{node}"), "--work", silent.work(node), "--task", "mlp",
            "--table", hospitals.root / f"{node}.csv", "--schema", hospitals.root / "schema.toml", "--seed", 3,
        )  # fmt: skip
    (hospitals.root / "evaluation.json").write_text(json.dumps({"model": "0" * 64, "outcome": "binary"}))
    done = hospitals.afml(
        "configure", *(silent.work(node) / "card.json" for node in trained.nodes), "--kit",
        hospitals.kit("coordinator"), "--out", silent.root / "run.json", "--task", "evaluation",
        "--settings", hospitals.root / "evaluation.json",
    )  # fmt: skip
    assert done.returncode != 0
    assert "does not say how many people are kept out of training" in done.stderr
    assert "--declare-held-out" in done.stderr
