"""What AFML has to know of it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from afml.consortium.card import DataAgreement
from afml.tasks.module import ModuleKind, ModuleSettings
from afml_digits.model import small_cnn


class Digits(ModuleKind):
    """Which of ten digits an image shows."""

    data = ("images",)

    def module(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        """The network."""
        return small_cnn()

    def loss(self, settings: ModuleSettings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy of every image."""
        return cross_entropy(predicted, target[:, 0].long(), reduction="none")


DIGITS = Digits()
