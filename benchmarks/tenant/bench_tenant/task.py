"""The networks as tasks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.tasks.module import ModuleKind
from bench_tenant.networks import mlp, resnet18


class Mlp(ModuleKind):
    """1M parameters."""

    def module(self, settings: Settings, data: DataAgreement) -> nn.Module:
        """The network."""
        return mlp()

    def loss(self, settings: Settings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy of every row."""
        return cross_entropy(predicted, target[:, 0].long(), reduction="none")


class ResNet(Mlp):
    """11M parameters."""

    def module(self, settings: Settings, data: DataAgreement) -> nn.Module:
        """The network."""
        return resnet18()


MLP, RESNET = Mlp(), ResNet()
