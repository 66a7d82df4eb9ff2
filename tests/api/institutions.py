"""Three institutions with a table each, and a task of a few lines, for tests of the Python API."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.api.cohort import Cohort
from afml.api.synthetic import made_up, plain_schema
from afml.consortium.card import DataAgreement
from afml.tasks.module import ModuleKind, ModuleSettings


class Risk(ModuleKind):
    """`features -> 1`."""

    data = ("table", "array", "images")

    def module(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.features, 1))

    def loss(self, settings: ModuleSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")


def cohorts(
    folder: Path, kind: str = "table", *, institutions: int = 3, people: int = 20, seed: int | None = None
) -> list[Cohort]:
    """Made-up people; a third is held out, for a simulation by `seed`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = made_up(plain_schema(kind), folder, institutions=institutions, people=people)
    return [Cohort(kind, **_options(one), holdout=0.3, seed=seed) for one in found]


def _options(cohort: Cohort) -> dict[str, object]:
    return {name: value for name, value in cohort.given.options.model_dump().items() if value is not None}
