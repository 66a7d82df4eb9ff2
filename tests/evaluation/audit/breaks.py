"""Broken mechanisms, each planted in the product's own training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from afml.privacy.noise import node_std
from afml.training import game, program, step
from afml.training.clipping import PersonGradients
from afml.training.program import Cohort, Program
from crypto.public.random import RandomSource


def scale_noise(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """The training step draws `factor` of the noise that is accounted."""
    monkeypatch.setattr(step, "node_std", lambda config, phase: factor * node_std(config, phase))


def clip_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a person (windows of genome against each candidate) are clipped one by one, then added up."""

    class RowGradients(PersonGradients):
        def __init__(self, module: nn.Module, clip_norm: float, rows_per_person: int = 1) -> None:
            super().__init__(module, clip_norm)

    monkeypatch.setattr(game, "PersonGradients", RowGradients)


def divide_by_the_realised_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noised sum becomes a mean over whoever was there, scaled to the declared number."""
    promised = program.Program.private_update

    def update(self: Program, phase: int, cohort: Cohort, rng: RandomSource, node_std: float) -> NDArray[np.float64]:
        declared: Any = max(self.config.enrolled.values())
        return promised(self, phase, cohort, rng, node_std) * (declared / max(1, len(cohort)))

    monkeypatch.setattr(program.Program, "private_update", update)
