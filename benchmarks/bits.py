"""Few bits against 24: what the grid costs in utility, with the same people, batches and noise.

A network of 16,897 parameters learns a made-up yes-or-no from 64 columns, at five institutions of 1,000 people, 20
rounds of a tenth of them, PLE 0.9. Both runs of a seed differ in `bits` alone. Reported are the mean AUC of both on
20,000 others, and how far the mean ratio to 24 bits is from 1.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, RunConfig, TaskChoice
from afml.data.schema import Schema
from afml.data.source import FeatureSource
from afml.privacy.noise import with_fewest_bits
from afml.tasks.module import ModuleKind, ModuleSettings, ModuleTask, RowsOfPeople
from afml.training.inprocess import train_in_process
from afml.training.planning import Rounds, Terms, one_phase

COLUMNS, HIDDEN, PEOPLE, OTHERS, NODES = 64, 256, 1000, 20_000, 5
PARAMETERS = COLUMNS * HIDDEN + HIDDEN + HIDDEN + 1
SEEDS = range(1, 6)
MANY = 24
DATA = DataAgreement(kind="table", fingerprint="00", features=COLUMNS, targets=1)
BARS = {"auc_ratio_off_by": ("<=", 0.002)}


class Network(ModuleKind):
    """Two layers."""

    def module(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        return nn.Sequential(nn.Linear(COLUMNS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def loss(self, settings: ModuleSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")


def run() -> dict[str, object]:
    """Every figure of the section."""
    found = []
    for seed in SEEDS:
        few = _run(seed)
        found.append((_auc(few, seed), _auc(few.model_copy(update={"bits": MANY}), seed), few.bits))
    fewest, many, bits = np.array(found).T
    return {
        "parameters": PARAMETERS,
        "bits": int(bits.max()),
        "auc": round(float(fewest.mean()), 4),
        "auc_24_bits": round(float(many.mean()), 4),
        "auc_ratio_off_by": round(abs(float((fewest / many).mean()) - 1), 5),
    }


def _run(seed: int) -> RunConfig:
    terms = Terms(ple_sigma=0.9)
    plan = one_phase(Rounds(rounds=20, learning_rate=0.5), terms, PARAMETERS)
    return with_fewest_bits(
        RunConfig(
            run="bits", consortium="bench", task=TaskChoice(kind="network", version="1", code=""), data=DATA,
            enrolled=dict.fromkeys(range(1, NODES + 1), PEOPLE), quorum=NODES,
            budget=Budget(delta=1e-5, ple_sigma=0.9), phases=plan.phases, seed=seed,
        )
    )  # fmt: skip


def _auc(run: RunConfig, seed: int) -> float:
    kind = Network()
    task = ModuleTask(kind, run)
    train_in_process(run, task, {node: _people(seed, node, PEOPLE) for node in run.nodes})
    others = _people(seed, NODES + 1, OTHERS)
    predicted = task.predict(others, np.arange(OTHERS))
    return float(roc_auc_score(others.source.targets[:, 0], np.asarray(predicted)[:, 0]))


def _people(seed: int, node: int, people: int) -> RowsOfPeople:
    """Columns are uniform; the odds of a yes hang on a fixed direction of them."""
    direction = np.random.default_rng(seed).normal(size=COLUMNS)
    rng = np.random.default_rng([seed, node])
    features = rng.uniform(size=(people, COLUMNS)).astype(np.float32)
    odds = (features - 0.5) @ direction
    targets = (rng.logistic(size=people) < 2 * odds).astype(np.float32)[:, None]
    schema = Schema.model_validate({
        "targets": ["y"], "columns": [*({"name": f"x{i}", "low": 0, "high": 1} for i in range(COLUMNS)),
                                      {"name": "y", "kind": "binary"}],
    })  # fmt: skip
    return RowsOfPeople(FeatureSource(schema, features, targets, np.arange(people)), np.arange(people))
