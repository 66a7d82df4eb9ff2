"""What AFML has to know of it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.consortium.card import DataAgreement
from afml.tasks.module import ModuleKind, ModuleSettings
from afml_exomes.model import site_cnn


class Exomes(ModuleKind):
    """A logit of having the trait."""

    data = ("array",)

    def module(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        """The network."""
        return site_cnn(data.features)

    def loss(self, settings: ModuleSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy of every person."""
        return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")


EXOMES = Exomes()
