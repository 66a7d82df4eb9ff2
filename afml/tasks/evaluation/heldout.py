"""What tasks have in common that measure on the people kept out of training, by one noised sum over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.data.prepared import Prepared
from afml.tasks.release.blocks import Blocks
from afml.tasks.release.kind import ReleaseKind
from afml.tasks.release.task import ReleaseTask
from afml.training.planning import Plan, Rounds, Terms
from afml.training.task import Enrolled


class HeldOutKind(ReleaseKind):
    """A task kind whose runs are of held-out people; see `afml.training.task.TaskKind`."""

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        super().check(run)
        if run.people != "holdout":
            raise ConfigError(
                "an evaluation is of the people kept out of training, and this run is of the others",
                where=f"run {run.run}",
                cure="have the coordinator run `afml configure` again",
            )

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`."""
        return super().plan(given, data, rounds, terms).model_copy(update={"people": "holdout"})

    @abstractmethod
    def enrolled(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """See `TaskKind.enrolled`: the held-out people, who are those that take part."""

    def evaluated(self, run: RunConfig) -> str:
        """Digest of the model that is looked at, or that files were released by."""
        return str(run.task.settings["model"])

    def held_out(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """The same: nobody else is looked at."""
        return self.enrolled(run, prepared)


class HeldOutTask(ReleaseTask, ABC):
    """A task of one sum.

    Args:
        run: The run configuration.
        blocks: What a person's vector is made of.
    """

    def __init__(self, run: RunConfig, blocks: Blocks) -> None:
        super().__init__(run)
        self._blocks = blocks

    def vector(self, phase: int) -> Blocks:
        """See `ReleaseTask.vector`."""
        return self._blocks
