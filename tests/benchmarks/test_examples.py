"""The examples: packages of a few lines whose READMEs say how they are run, and what they are measured against."""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from afml.consortium.run import Phase
from afml.privacy.events import gaussian_rounds
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.training.registry import code_digest
from benchmarks.examples import pooled, ready
from benchmarks.examples.accounting import noise_by_hand, ple_by_hand
from benchmarks.examples.compare import Difference, put, summary
from benchmarks.examples.example import EXAMPLES, known
from benchmarks.examples.federated import Consortium
from tests.training.contract import keeps_the_contract

NAMES = sorted(known())
PEOPLE = 8
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The four packages, as pip installs them; what the adapter freezes has seen a few glyphs only."""
    before, path = list(sys.path), os.environ.get("PYTHONPATH")
    code_digest.cache_clear()
    yield ready.install(tmp_path_factory.mktemp("build"), ("--images", 64, "--passes", 1))
    sys.path[:] = before
    os.environ.pop("PYTHONPATH")
    if path is not None:
        os.environ["PYTHONPATH"] = path
    for name in [name for name in sys.modules if name.startswith("afml_")]:
        sys.modules.pop(name)
    code_digest.cache_clear()


def _script(name: str, script: str) -> ModuleType:
    """A script of an example, imported."""
    spec = importlib.util.spec_from_file_location(f"{name}_{script}", EXAMPLES / name / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table(path: Path, node: int, columns: dict[str, Any]) -> None:
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["person", *columns])
        writer.writerows((f"N{node}-{row}", *cells) for row, cells in enumerate(zip(*columns.values(), strict=True)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few made-up people at every institution, in the files that make_data.py of any of the examples writes."""
    from PIL import Image

    for node in range(1, 6):
        rng, ones = np.random.default_rng(node), np.arange(PEOPLE) % 2
        for name in NAMES:
            (tmp_path / name).mkdir(exist_ok=True)
        numbers = {word: rng.normal(1.5, 0.3, PEOPLE).round(3) for word in ("kappa", "lambda", "creatinine")}
        clinical = {"age": rng.integers(50, 90, PEOPLE), "female": ones, **numbers, "mgus": ones, "died": 1 - ones}
        _table(tmp_path / "flchain" / f"institution-{node}.csv", node, clinical)
        files = [f"D{row}.png" for row in range(PEOPLE)]
        (tmp_path / "digits" / f"images-{node}").mkdir()
        for file in files:
            pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "digits" / f"images-{node}" / file)
        digits = rng.integers(0, 10, PEOPLE)
        _table(tmp_path / "digits" / f"institution-{node}.csv", node, {"file": files, "digit": digits})
        _table(tmp_path / "adapter" / f"institution-{node}.csv", node, {"digit": digits})
        np.save(tmp_path / "adapter" / f"images-{node}.npy", rng.integers(0, 17, (PEOPLE, 8, 8)).astype(np.float32))
        _table(tmp_path / "exomes" / f"institution-{node}.csv", node, {"trait": ones})
        np.save(tmp_path / "exomes" / f"genotypes-{node}.npy", rng.normal(size=(PEOPLE, 1, 256)).astype(np.float32))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_an_author_writes_thirty_lines_beside_the_model(name: str) -> None:
    assert len((EXAMPLES / name / f"afml_{name}" / "task.py").read_text().splitlines()) <= 30


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("installed")
def test_an_example_trains_as_its_readme_says(name: str, data: Path, tmp_path: Path) -> None:
    consortium = Consortium(known()[name], data / name, tmp_path / "stores")
    run = consortium.run(1)
    assert run.phases[0].rounds == consortium.example.rounds().rounds
    assert run.budget.ple_sigma == consortium.example.terms().ple_sigma
    prepared = consortium.prepared(1, 1)
    public, enrolled = prepared.public, consortium.kind.enrolled(run, prepared)
    short = run.model_copy(
        update={"phases": (run.phases[0].model_copy(update={"rounds": 1, "learning_rate": 0.1}),)}
    )  # a few people's noise moves a network far at the README's rate
    keeps_the_contract(lambda: consortium.kind.task(short, public), short, enrolled)
    model = consortium.federated(1, short)
    split = consortium.split(1)
    assert sum(len(own[0]) for own in split.train) + len(split.test[0]) == 5 * PEOPLE
    assert len(pooled.predicted(consortium.module(model.arrays), split.test[0])) == len(split.test[0])


@pytest.mark.usefixtures("installed")
def test_a_run_of_somebodys_task_costs_what_dp_accounting_says(data: Path, tmp_path: Path) -> None:
    run = Consortium(known()["flchain"], data / "flchain", tmp_path / "stores").template
    (phase,) = run.phases
    planned = phase.rounds + run.reserve_attempts
    by_hand = ple_by_hand(phase.sample_rate, phase.noise_multiplier, planned, run.budget.delta)
    assert ple(planned_events(run), run.budget.delta).sigma == pytest.approx(by_hand, abs=1e-3)
    assert by_hand == pytest.approx(0.5, abs=1e-3)


@pytest.mark.usefixtures("installed")
def test_most_of_the_adapters_network_is_frozen(data: Path, tmp_path: Path) -> None:
    run = Consortium(known()["adapter"], data / "adapter", tmp_path / "stores")
    module = run.fresh()
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    trained = run.template.phases[0].parameters
    assert frozen >= 10_000_000
    assert 0.001 <= trained / frozen <= 0.05


def test_flchain_is_dealt_by_the_year_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _script("flchain", "make_data")
    names = ("age", "sex", "sample.yr", "kappa", "lambda", "creatinine", "mgus", "futime", "death", "chapter")
    head = "".join(f"@attribute {name} numeric\n" for name in names)
    rows = ("60,F,1995,1,1,1,no,4000,alive,?", "61,M,2003,1,1,?,yes,1825,dead,Blood", "62,F,1995,1,1,1,no,100,alive,?")
    source = tmp_path / "flchain.arff"
    source.write_text(f"@relation flchain\n{head}@data\n" + "\n".join(rows))
    monkeypatch.setattr(made, "source", lambda: source)
    monkeypatch.setattr(sys, "argv", ["make_data", "--out", str(tmp_path)])
    made.main()
    tables = [list(csv.DictReader((tmp_path / f"institution-{node}.csv").open())) for node in range(1, 6)]
    assert [len(table) for table in tables] == [1, 0, 0, 0, 1]  # who left alive before five years is left out
    assert tables[0][0] == {
        "person": "F0000", "age": "60", "female": "1", "kappa": "1", "lambda": "1", "creatinine": "1", "mgus": "0",
        "died": "0",
    }  # fmt: skip
    assert (tables[4][0]["died"], tables[4][0]["mgus"], tables[4][0]["creatinine"]) == ("1", "1", "")


def test_digits_are_dealt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("digits", "adapter"):
        monkeypatch.setattr(sys, "argv", ["make_data", "--out", str(tmp_path / name)])
        _script(name, "make_data").main()
        tables = [list(csv.DictReader((tmp_path / name / f"institution-{node}.csv").open())) for node in range(1, 6)]
        people = [row["person"] for table in tables for row in table]
        assert len(people) == len(set(people)) == 1797
    images = np.load(tmp_path / "adapter" / "images-1.npy")
    assert images.shape[1:] == (8, 8)
    assert len(images) == len(list((tmp_path / "digits" / "images-1").iterdir()))


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.2, 4.2, 101), (0.25, 1.2, 61), (1.0, 8.0, 20)])
def test_our_accounting_is_that_of_dp_accounting_alone(rate: float, noise: float, steps: int) -> None:
    assert ple_by_hand(rate, noise, steps, 1e-5) == pytest.approx(
        ple([gaussian_rounds(rate, noise, steps)], 1e-5).sigma, abs=1e-3
    )


def test_noise_by_hand_comes_to_the_target() -> None:
    assert ple_by_hand(0.25, noise_by_hand(1.0, 0.25, 20, 1e-5), 20, 1e-5) == pytest.approx(1.0, abs=1e-3)


def _clipped_step(module: nn.Module, data: pooled.Data, phase: Phase) -> list[torch.Tensor]:
    """One step without noise of full batches, a person at a time."""
    total = [torch.zeros_like(p) for p in module.parameters()]
    for features, target in zip(*data, strict=True):
        loss = _loss(module(features[None]), target[None]).sum()
        gradient = torch.autograd.grad(loss, list(module.parameters()))
        norm = math.sqrt(sum(float((part**2).sum()) for part in gradient))
        for sum_of, part in zip(total, gradient, strict=True):
            sum_of += part * min(1.0, phase.clip_norm / norm)
    step = phase.learning_rate / len(data[0])
    return [p.detach() - step * part for p, part in zip(module.parameters(), total, strict=True)]


def _loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(predicted, target, reduction="none").sum(dim=1)


def _linear() -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(4, 1)


@pytest.fixture
def steps() -> pooled.Steps:
    """One step over everybody; Opacus wants some noise."""
    phase = Phase(name="train", rounds=1, sample_rate=1.0, clip_norm=0.5, noise_multiplier=1.0, learning_rate=2.0)
    return pooled.Steps(phase, 1e-9, lambda parameters: torch.optim.SGD(parameters, lr=phase.learning_rate))


def test_plain_opacus_steps_as_clipping_one_by_one(steps: pooled.Steps) -> None:
    data = (torch.randn(20, 4), torch.randn(20, 1))
    wanted = _clipped_step(_linear(), data, steps.phase)
    for found in (
        pooled.central(_linear(), _loss, data, steps, 1),
        pooled.averaged(_linear, _loss, [(data[0][:5], data[1][:5]), (data[0][5:], data[1][5:])], steps, 1),
    ):
        for p, one in zip(found.parameters(), wanted, strict=True):
            torch.testing.assert_close(p.detach(), one, atol=1e-5, rtol=1e-5)


def test_opacus_must_draw_at_the_rate_of_the_run(steps: pooled.Steps) -> None:
    phase = steps.phase.model_copy(update={"sample_rate": 0.3})
    other = pooled.Steps(phase, 1, steps.optimiser)
    with pytest.raises(ValueError, match="Opacus would draw at"):
        pooled.central(_linear(), _loss, (torch.randn(20, 4), torch.randn(20, 1)), other, 1)


def test_differences_are_paired_and_bars_are_said(tmp_path: Path) -> None:
    found = Difference.of([0.9, 0.8, 0.7], [0.8, 0.7, 0.6])
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(found.high)
    scores = {
        seed: {"non_private": 0.9, "central_dp": 0.8, "federated": 0.8 + seed / 1000, "local_noise": 0.7}
        for seed in (1, 2)
    }
    entry = summary("AUC", scores, {"name": "flchain", "ple_sigma": 0.5})
    assert entry["seeds"] == [1, 2]
    assert entry["federated"] == pytest.approx(0.8015)
    assert list(entry["bars"].values()) == [True, True, False]
    put(tmp_path / "examples.json", "gwas", {"recall": 1.0})
    put(tmp_path / "examples.json", "flchain", entry)
    assert '"gwas"' in (tmp_path / "examples.json").read_text()
