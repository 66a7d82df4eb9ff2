"""Module tasks of a line or two, people in memory for them, and runs that train them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, Phase, RunConfig, TaskChoice
from afml.data.schema import Schema
from afml.data.source import FeatureSource
from afml.tasks.module import ModuleKind, ModuleSettings, RowsOfPeople

FEATURES = 4
TABLE = DataAgreement(kind="table", fingerprint="00", features=FEATURES, targets=1)
IMAGES = DataAgreement(kind="images", fingerprint="00", features=64, shape=(1, 8, 8), targets=1)
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def bce(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")


class Any_(ModuleKind):
    """Whatever a test makes and loses by."""

    def __init__(self, make: Callable[[], Any], loss: Loss = bce) -> None:
        self._make, self._loss = make, loss

    def module(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        made: nn.Module = self._make()
        return made

    def loss(self, settings: ModuleSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._loss(predicted, target)


def layers(*middle: Callable[[], nn.Module], hidden: int = 6) -> Callable[[], nn.Module]:
    """Makes two linear layers with others between."""
    return lambda: nn.Sequential(nn.Linear(FEATURES, hidden), *[one() for one in middle], nn.Linear(hidden, 1))


def run_of(data: DataAgreement = TABLE, *, rounds: int = 3, people: int = 20, **settings: Any) -> RunConfig:
    phase = Phase(name="train", rounds=rounds, sample_rate=0.5, clip_norm=0.7, noise_multiplier=2.0, learning_rate=0.1)
    return RunConfig(
        run="r", consortium="c", task=TaskChoice(kind="mine", version="1", code="", settings=settings), data=data,
        enrolled={1: people, 2: people, 3: people}, quorum=3, budget=Budget(delta=1e-5, ple_sigma=90),
        phases=(phase,), seed=3,
    )  # fmt: skip


def people_of(data: DataAgreement = TABLE, *, people: int = 20, rows: int = 1, seed: int = 0) -> RowsOfPeople:
    """Some people, one of them with `rows` rows and the others with one."""
    rng = np.random.default_rng(seed)
    owner = np.sort(np.concatenate([np.arange(people), np.zeros(rows - 1, np.int64)]))
    features = rng.uniform(size=(len(owner), *data.row_shape)).astype(np.float32)
    targets = rng.integers(0, 2, (len(owner), max(1, data.targets))).astype(np.float32)
    schema = Schema.model_validate({
        "targets": ["y"], "columns": [*({"name": f"x{i}", "low": 0, "high": 1} for i in range(data.features)),
                                      {"name": "y", "kind": "binary"}],
    })  # fmt: skip
    return RowsOfPeople(FeatureSource(schema, features, targets, owner), np.arange(people))


def gradients_by_hand(
    kind: ModuleKind, run: RunConfig, enrolled: RowsOfPeople, who: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Each person's gradient, autograd on that person's rows alone, float64."""
    found = []
    for person in who:
        module = kind.fresh(run).double()
        features, targets, _ = enrolled.rows(np.array([person]))
        kind.loss(None, module(features.double()), targets.double()).sum().backward()
        parts = [p.grad.reshape(-1).numpy() for p in module.parameters() if p.requires_grad and p.grad is not None]
        found.append(np.concatenate(parts))
    return found
