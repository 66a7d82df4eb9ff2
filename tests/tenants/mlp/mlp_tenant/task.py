"""A two-layer perceptron that predicts a binary column of a table."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.consortium.card import DataAgreement
from afml.tasks.module import ModuleKind, ModuleSettings


class MlpSettings(ModuleSettings):
    """Settings of the task."""

    hidden: int = Field(default=8, ge=1)


class Mlp(ModuleKind):
    """`features -> hidden -> 1`, tanh between."""

    data = ("table",)
    settings_type = MlpSettings

    def module(self, settings: MlpSettings, data: DataAgreement) -> nn.Module:
        return nn.Sequential(nn.Linear(data.features, settings.hidden), nn.Tanh(), nn.Linear(settings.hidden, 1))

    def loss(self, settings: MlpSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")


MLP = Mlp()
