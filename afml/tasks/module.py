"""A torch module and a loss per row, as a task: what is left to say is what they are.

    class Mine(ModuleKind):
        def module(self, settings, data): return nn.Sequential(nn.Linear(data.features, 16), nn.ReLU(), ...)
        def loss(self, settings, predicted, target): return binary_cross_entropy_with_logits(..., reduction="none")

    MINE = Mine()        # named by an entry point of the group "afml.tasks"

Private rounds are DP-SGD (Abadi et al. 2016): `parameters -= rate * total / expected people`. Parameters are float64
masters that all nodes move by the same additions; gradients are taken at their float32 values.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import FiniteSettings, Settings, complaint
from afml.core.errors import ConfigError, IntegrityError
from afml.data.prepared import Prepared
from afml.data.source import FeatureSource, open_source
from afml.training.blob import dump, load
from afml.training.clipping import RowGradients, flatten, unflatten
from afml.training.device import device, one_thread
from afml.training.model import ArrayModel, load_arrays, run_card
from afml.training.planning import Plan, Rounds, Terms, one_phase
from afml.training.task import Progress, Rows
from crypto.public.random import RandomSource

#: Gradient values of one micro-batch, float32: 256 MiB.
_MICRO_GRADIENTS = 1 << 26
_PARAMETERS = "parameters"


class ModuleSettings(FiniteSettings):
    """Settings of a task without any of its own."""


@dataclass(frozen=True, eq=False)
class RowsOfPeople:
    """The enrolled people of an institution with their rows.

    Attributes:
        source: Features and targets.
        places: Places of the enrolled in the source, [people].
    """

    source: FeatureSource
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.source.digest().encode() + self.places.astype("<i8").tobytes()).hexdigest()

    def rows(self, people: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.int64]]:
        """(features [rows, *shape], targets [rows, T], person of each row in [0, people)), person by person."""
        places = self.places[people]
        rows = self.source.rows_of(places)
        owner = np.repeat(np.arange(len(people)), self.source.row_counts[places])
        features, targets = np.array(self.source.features[rows]), np.array(self.source.targets[rows])
        return torch.from_numpy(features), torch.from_numpy(targets), owner


class ModuleKind(ABC):
    """A task kind that is a module and a loss; see `afml.training.task.TaskKind`."""

    data: ClassVar[tuple[str, ...]] = ("table", "array", "images")
    settings_type: ClassVar[type[Settings]] = ModuleSettings

    @abstractmethod
    def module(self, settings: Any, data: DataAgreement) -> nn.Module:
        """The module at its first parameters; the same ones at every node (they are drawn under a fixed seed).

        Args:
            settings: Of `settings_type`.
            data: How many features a row has.
        """

    @abstractmethod
    def loss(self, settings: Any, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of every row by itself, [rows], from predictions [rows, ...] and targets [rows, T]."""

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """See `TaskKind.settings`."""
        try:
            return self.settings_type.model_validate(given)
        except ValidationError as error:
            raise ConfigError(complaint(error), where="settings of the task") from None

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        self.settings(run.task.settings)
        if run.public_part or any(phase.needs_public for phase in run.phases):
            raise ConfigError("this task has no public part", where=f"run {run.run}", cure="configure the run again")

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`: one phase of Poisson batches."""
        settings = self.settings(given).model_dump(mode="json")
        return one_phase(rounds, terms, sum(p.numel() for p in self._seeded(settings, data).parameters()))

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """See `TaskKind.lengths`."""
        return (sum(parameter.numel() for parameter in self.fresh(run).parameters()),) * len(run.phases)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> ModuleTask:
        """See `TaskKind.task`."""
        return ModuleTask(self, run)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> RowsOfPeople:
        """See `TaskKind.enrolled`."""
        return RowsOfPeople(open_source(prepared.folder), prepared.enrolled)

    def held_out(self, run: RunConfig, prepared: Prepared) -> RowsOfPeople:
        """See `TaskKind.held_out`."""
        return self.enrolled(run, prepared.held_out)

    def fresh(self, run: RunConfig) -> nn.Module:
        """The module, its first parameters drawn from a fixed public seed."""
        return self._seeded(run.task.settings, run.data)

    def _seeded(self, settings: Mapping[str, Any], data: DataAgreement) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.module(self.settings(settings), data)


class ModuleTask:
    """A module that is trained; see `afml.training.task.Task`."""

    def __init__(self, kind: ModuleKind, run: RunConfig) -> None:
        self._kind, self._run = kind, run
        self._settings = kind.settings(run.task.settings)
        self._parameters = flatten(kind.fresh(run))
        self._hooked: RowGradients | None = None  # the module at the present parameters
        self._still: nn.Module | None = None  # the same, to predict with

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        return len(self._parameters)

    def blocks(self, phase: int) -> tuple[float, ...]:
        """All parameters are clipped as one."""
        return (1.0,)

    def people_at_once(self, phase: int) -> int:
        """See `Task.people_at_once`."""
        return max(1, _MICRO_GRADIENTS // max(1, len(self._parameters)))

    def gradients(
        self, phase: int, enrolled: RowsOfPeople, people: NDArray[np.int64], stream: RandomSource
    ) -> list[Rows]:
        """See `Task.gradients`."""
        if self._hooked is None:
            module = self._kind.fresh(self._run)
            unflatten(module, self._parameters)
            self._hooked = RowGradients(module.to(device()))
        features, targets, owner = enrolled.rows(people)
        predicted = self._hooked.hooked(features.to(device()))
        self._hooked.backward(self._kind.loss(self._settings, predicted, targets.to(device())).sum())
        return [Rows(self._hooked.rows().gradients, owner)]

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """See `Task.apply`."""
        settings = self._run.phases[phase]
        if total.shape != self._parameters.shape:
            raise IntegrityError(f"the sum has {len(total)} parameters, the module {len(self._parameters)}")
        self._parameters = self._parameters - settings.learning_rate / (settings.sample_rate * people) * total
        self._hooked = self._still = None

    @property
    def has_public_part(self) -> bool:
        """There is none to wait for."""
        return True

    def train_public(self, progress: Progress | None = None) -> bytes:
        """Nothing."""
        return b""

    def load_public(self, blob: bytes) -> None:
        """Nothing."""

    def state(self) -> bytes:
        """See `Task.state`."""
        return dump({_PARAMETERS: self._parameters})

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        known = {_PARAMETERS: len(self._parameters)}
        found = load(blob, "saved training state", known).get(_PARAMETERS, np.zeros(0))
        if found.shape != self._parameters.shape:
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self._parameters, self._hooked, self._still = found, None, None

    def digest(self) -> bytes:
        """See `Task.digest`."""
        return hashlib.sha256(self._parameters.astype("<f8").tobytes()).digest()

    def model(self) -> ArrayModel:
        """The module's parameters by their names, float32, and what they are of."""
        module = self._kind.fresh(self._run)
        unflatten(module, self._parameters)
        arrays = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
        return ArrayModel(arrays, run_card(self._run) | {"parameters": sum(array.size for array in arrays.values())})

    def load_model(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Task.load_model`."""
        module = self._kind.fresh(self._run)
        load_arrays(module, arrays)
        self._parameters, self._hooked, self._still = flatten(module), None, None

    def predict(self, enrolled: RowsOfPeople, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Task.predict`: what the module gives in evaluation mode, each row's numbers in one line."""
        if self._still is None:
            module = self._kind.fresh(self._run)
            unflatten(module, self._parameters)
            self._still = module.to(device()).eval()
        features, _, _ = enrolled.rows(people)
        with torch.no_grad(), one_thread():
            predicted = self._still(features.to(device()))
        return predicted.to("cpu", torch.float64).reshape(len(features), -1).numpy()
