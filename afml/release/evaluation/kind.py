"""The task `release-evaluation`: how the released files of a model do, over all institutions, noised and paid for.

    afml configure cards... --task release-evaluation --settings release-evaluation.toml --out released.json

Every institution attacks and scores its own file at home. What leaves is one noised sum over the people kept out of
training, who take part in the run and are charged like anybody else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.data.prepared import Prepared
from afml.masking.chosen import KINDS
from afml.release.evaluation.border import crossed
from afml.release.evaluation.page import write_pages
from afml.release.evaluation.people import EvaluatedPeople, evaluated
from afml.release.evaluation.results import measured
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.release.evaluation.vector import blocks_of
from afml.tasks.evaluation.heldout import HeldOutKind, HeldOutTask
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import ReleasePhase
from afml.training.model import run_card

_PHASE = "evaluation"


class ReleaseEvaluationKind(HeldOutKind):
    """See `afml.training.task.TaskKind`."""

    data = KINDS
    settings_type = ReleaseEvaluationSettings

    def phases(self, settings: ReleaseEvaluationSettings, data: DataAgreement) -> tuple[ReleasePhase, ...]:
        """One release."""
        return (ReleasePhase(_PHASE, len(blocks_of(settings))),)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> ReleaseEvaluationTask:
        """See `TaskKind.task`."""
        return ReleaseEvaluationTask(run, ReleaseEvaluationSettings.model_validate(run.task.settings))

    def enrolled(self, run: RunConfig, prepared: Prepared) -> EvaluatedPeople:
        """The people who take part, with what the institution finds of them in its own release.

        Raises:
            ConfigError: The model or its release is not here, or its traits are others.
            InputError: The release is not what its plan says, a held-out person is not in it, or the panel has fewer
                than four people.
        """
        return evaluated(run, ReleaseEvaluationSettings.model_validate(run.task.settings), prepared.held_out)


class ReleaseEvaluationTask(HeldOutTask):
    """One noised sum, the measures that follow from it, and what of people it holds."""

    def __init__(self, run: RunConfig, settings: ReleaseEvaluationSettings) -> None:
        super().__init__(run, blocks_of(settings))
        self.settings = settings

    def values(
        self, phase: int, enrolled: EvaluatedPeople, people: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float64]]:
        """See `ReleaseTask.values`."""
        return enrolled.of(people)

    def model(self) -> ReleaseModel:
        """The noised sums; their pages have the measures."""
        estimates = self.estimates(0)
        arrays = {name: estimate.sum for name, estimate in estimates.items()}
        found = {"model": self.settings.model, "run": self.run.run, "complete": self.complete}
        card = run_card(self.run) | {"evaluates_releases_of": self.settings.model, "people": self.people(0)}
        pages = None
        if self.complete:
            found |= measured(self.settings, estimates) | {"crossed": crossed(self.run, self._blocks, estimates)}
            pages = lambda folder: write_pages(folder, found)  # noqa: E731
        return ReleaseModel(arrays, card, pages)


RELEASE_EVALUATION = ReleaseEvaluationKind()
