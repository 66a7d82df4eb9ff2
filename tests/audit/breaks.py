"""Broken mechanisms, each planted in the product's own training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from afml.privacy.noise import node_std
from afml.training import clipping, step
from afml.training.folding import Folded
from afml.training.step import Trainer
from crypto.public.random import RandomSource


def scale_noise(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """The training step draws `factor` of the noise that is accounted."""
    monkeypatch.setattr(step, "node_std", lambda config, phase: factor * node_std(config, phase))


def clip_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a person (windows of genome against each candidate) are clipped one by one, then added up."""

    def unfolded(gradient: torch.Tensor, owner: object, people: int) -> Folded:
        return Folded(gradient, 1, len(gradient))

    monkeypatch.setattr(clipping, "folded", unfolded)


def divide_by_the_realised_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noised sum becomes a mean over whoever was there, scaled to the declared number."""
    promised = Trainer.private_update

    def update(self: Trainer, phase: int, stream: RandomSource, std: float) -> NDArray[np.float64]:
        declared: Any = max(self.run.enrolled.values())
        return promised(self, phase, stream, std) * (declared / max(1, len(self.enrolled)))

    monkeypatch.setattr(Trainer, "private_update", update)
