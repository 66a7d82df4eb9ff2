"""What the kinds of task have in common whose phases are releases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import Settings, complaint
from afml.core.errors import ConfigError
from afml.tasks.release.plan import ReleasePhase, release_plan, require_release
from afml.training.planning import Plan, Rounds, Terms


class ReleaseKind(ABC):
    """A task kind whose phases are releases; see `afml.training.task.TaskKind`. `task` and the people are its own."""

    data: ClassVar[tuple[str, ...]]
    settings_type: ClassVar[type[Settings]]

    @abstractmethod
    def phases(self, settings: Any, data: DataAgreement) -> tuple[ReleasePhase, ...]:
        """The releases, with the lengths of their vectors.

        Args:
            settings: Of `settings_type`.
            data: What the nodes declare of their data.

        Raises:
            ConfigError: Such data have nothing to release of this.
        """

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """See `TaskKind.settings`."""
        try:
            return self.settings_type.model_validate(given)
        except ValidationError as error:
            raise ConfigError(complaint(error), where="settings of the task") from None

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        require_release(run, self.phases(self.settings(run.task.settings), run.data))

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`: one round for each release."""
        return release_plan(self.phases(self.settings(given), data), rounds, terms)

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """See `TaskKind.lengths`."""
        return tuple(phase.parameters for phase in self.phases(self.settings(run.task.settings), run.data))
