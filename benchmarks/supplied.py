"""A task for rounds in which training is not timed: every node's update is there before the round begins.

The update takes the place of batch, gradients and noise; all else of a run - what a sum does to the parameters, their
digest and their stored state - is as in the product's tasks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from afml.training.blob import dump, load
from afml.training.model import ArrayModel
from afml.training.step import Trainer
from afml.training.task import PredictsNothing, Progress, Rows
from crypto.public.random import RandomSource

_PARAMETERS = "parameters"


class SuppliedTask(PredictsNothing):
    """One vector of parameters, as long as the run's data have features; see `afml.training.task.Task`."""

    has_public_part = True  # there is none to be made

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self._parameters = np.zeros(run.data.features)

    def length(self, phase: int) -> int:
        return len(self._parameters)

    def blocks(self, phase: int) -> tuple[float, ...]:
        return (1.0,)

    def people_at_once(self, phase: int) -> int:
        return 1

    def gradients(self, phase: int, enrolled: Nobody, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        raise NotImplementedError("the update is supplied, nothing is trained")

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        settings = self.run.phases[phase]
        self._parameters = self._parameters - settings.learning_rate / (settings.sample_rate * people) * total

    def train_public(self, progress: Progress | None = None) -> bytes:
        return b""

    def load_public(self, blob: bytes) -> None:
        pass

    def state(self) -> bytes:
        return dump({_PARAMETERS: self._parameters})

    def load_state(self, blob: bytes) -> None:
        stored = load(blob, "saved training state", {_PARAMETERS: self._parameters.size}).get(_PARAMETERS, np.zeros(0))
        if stored.shape != self._parameters.shape:
            raise IntegrityError("the saved training state belongs to another run")
        self._parameters = stored

    def digest(self) -> bytes:
        return hashlib.sha256(self._parameters.astype("<f8").tobytes()).digest()

    def model(self) -> ArrayModel:
        return ArrayModel({_PARAMETERS: self._parameters})


class Nobody:
    """Enrolled people of whom no task needs anything."""

    def __len__(self) -> int:
        return 0

    def digest(self) -> str:
        return ""


@dataclass(frozen=True)
class SuppliedTrainer(Trainer):
    """A trainer whose update is ready.

    Attributes:
        ready: The update of every round, float64 [parameters].
    """

    ready: NDArray[np.float64] = field(kw_only=True)

    def private_update(self, phase: int, stream: RandomSource, std: float) -> NDArray[np.float64]:
        return self.ready


def supplied_trainer(run: RunConfig, node: int, std: float) -> SuppliedTrainer:
    """A node's trainer: its update is a random vector of the standard deviation of its noise."""
    ready = std * np.random.default_rng(node).standard_normal(run.data.features)
    return SuppliedTrainer(run, SuppliedTask(run), Nobody(), ready=ready)
