"""A torch module and a loss per row, as a task: what is left to say is what they are.

    class Mine(ModuleKind):
        def module(self, settings, data): return nn.Sequential(nn.Linear(data.features, 16), nn.ReLU(), ...)
        def loss(self, settings, predicted, target): return binary_cross_entropy_with_logits(..., reduction="none")

    MINE = Mine()        # named by an entry point of the group "afml.tasks"

Private rounds are DP-SGD (Abadi et al. 2016): the noised sum over the expected number of people goes to an optimiser
(`afml.tasks.optimisers`). Trained parameters are float64 masters that all nodes move by the same additions; gradients
are taken at their float32 values. The task itself is `afml.tasks.moduletask`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from torch import nn

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import complaint
from afml.core.errors import ConfigError, InputError
from afml.data.prepared import Prepared
from afml.data.source import open_source
from afml.tasks import parts
from afml.tasks.moduletask import ModuleTask
from afml.tasks.rows import RowsOfPeople
from afml.tasks.settings import ModuleSettings
from afml.tasks.suitable import require_suitable
from afml.training.planning import Plan, Rounds, Terms, one_phase

__all__ = ["ModuleKind", "ModuleSettings", "ModuleTask", "RowsOfPeople"]


class ModuleKind(ABC):
    """A task kind that is a module and a loss; see `afml.training.task.TaskKind`."""

    data: ClassVar[tuple[str, ...]] = ("table", "array", "images")
    settings_type: ClassVar[type[ModuleSettings]] = ModuleSettings

    @abstractmethod
    def module(self, settings: Any, data: DataAgreement) -> nn.Module:
        """The module at its first parameters; the same ones at every node (they are drawn under a fixed seed).

        Args:
            settings: Of `settings_type`.
            data: How many features a row has, and in what shape.
        """

    @abstractmethod
    def loss(self, settings: Any, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of every row by itself, [rows], from predictions [rows, ...] and targets [rows, T]."""

    def made_up(self, settings: Any, data: DataAgreement, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows that are nobody's, on which the module is tried before a run.

        Args:
            settings: Of `settings_type`.
            data: Shape of a row.
            rows: How many, always the same ones.

        Returns:
            Features [rows, *shape], uniform in [0, 1), and targets [rows, T], 0 and 1 in turn: on the declared scale of
            any column. A module that needs others says so by a method of its own.
        """
        drawn = torch.Generator().manual_seed(0)
        features = torch.rand((rows, *data.row_shape), generator=drawn)
        return features, (torch.arange(rows) % 2).float()[:, None].repeat(1, max(1, data.targets))

    def settings(self, given: Mapping[str, Any]) -> ModuleSettings:
        """See `TaskKind.settings`."""
        if not issubclass(self.settings_type, ModuleSettings):
            problem = f"{self.settings_type.__name__} is no ModuleSettings"
            raise ConfigError(problem, where="settings_type of the task", cure="make it a subclass of ModuleSettings")
        try:
            return self.settings_type.model_validate(given)
        except ValidationError as error:
            raise ConfigError(complaint(error), where="settings of the task") from None

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        where, settings = f"run {run.run}", self.settings(run.task.settings)
        if run.public_part or any(phase.needs_public for phase in run.phases):
            raise ConfigError("this task has no public part", where=where, cure="configure the run again")
        if run.data.kind not in self.data:
            problem = f"this task trains on {' or '.join(self.data)}, not on {run.data.kind}"
            raise ConfigError(problem, where=where, cure="run `afml prepare` with that kind of data")
        if settings.warmup >= run.rounds:
            problem = f"a warm-up of {settings.warmup} rounds in a run of {run.rounds}"
            raise ConfigError(problem, where=where, cure="shorten warmup, or ask for more --rounds")
        require_suitable(self, run.task.settings, run.data, where=where)
        parameters = self.lengths(run)[0]
        if any(phase.parameters not in (0, parameters) for phase in run.phases):
            problem = f"declares another number of parameters than the {parameters} that are trained"
            raise ConfigError(problem, where=where, cure="configure the run again")

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`: one phase of Poisson batches."""
        require_suitable(self, given, data, where="the task's module")
        settings = self.settings(given)
        asked = rounds.model_copy(update={"learning_rate": rounds.learning_rate or settings.learning_rate})
        return one_phase(asked, terms, parts.count(self.made(settings, data)))

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """See `TaskKind.lengths`."""
        return (parts.count(self.fresh(run)),) * len(run.phases)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> ModuleTask:
        """See `TaskKind.task`."""
        return ModuleTask(self, run)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> RowsOfPeople:
        """See `TaskKind.enrolled`."""
        found = RowsOfPeople(open_source(prepared.folder), prepared.enrolled)
        if self.settings(run.task.settings).ghost and prepared.role == "train" and found.most_rows > 1:
            raise InputError(
                "ghost clipping is for people with one row each, and somebody has more",
                where=prepared.folder,
                cure="have the run configured with ghost = false",
            )
        return found

    def held_out(self, run: RunConfig, prepared: Prepared) -> RowsOfPeople:
        """See `TaskKind.held_out`."""
        return self.enrolled(run, prepared.held_out)

    def fresh(self, run: RunConfig) -> nn.Module:
        """The module of a run, see `made`."""
        return self.made(self.settings(run.task.settings), run.data)

    def made(self, settings: ModuleSettings, data: DataAgreement) -> nn.Module:
        """The module at first parameters drawn from a fixed public seed; those that are trained require a gradient."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = self.module(settings, data)
        if isinstance(module, nn.Module):
            parts.choose(module, settings.trainable)
        return module
