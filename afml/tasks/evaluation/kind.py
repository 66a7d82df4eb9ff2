"""The task `evaluation`: how a published model does on the held-out people of all institutions, noised and paid for.

    afml configure cards... --task evaluation --settings evaluation.toml --out evaluation.json

Those who take part are the people kept out of training (`RunConfig.people`), and they are charged like anybody else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.data.kind import DATA_KINDS
from afml.data.prepared import Prepared
from afml.tasks.evaluation.answers import Answers, answers
from afml.tasks.evaluation.heldout import HeldOutKind, HeldOutTask
from afml.tasks.evaluation.noised import measured
from afml.tasks.evaluation.page import write_pages
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.evaluation.vector import NAME, blocks_of, vectors
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import ReleasePhase
from afml.training.model import run_card
from afml.training.shelf import find_model, open_model

_SUMS = "sums"


@dataclass(frozen=True, eq=False)
class ScoredPeople:
    """An institution's held-out people with what the model says of them; see `afml.training.task.Enrolled`.

    Attributes:
        vectors: What each adds, float64 [people, *shape].
    """

    vectors: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"ScoredPeople({len(self)} people)"

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(f"{self.vectors.shape}".encode() + self.vectors.astype("<f8").tobytes()).hexdigest()


class EvaluationKind(HeldOutKind):
    """See `afml.training.task.TaskKind`."""

    data = DATA_KINDS.names()
    settings_type = EvaluationSettings

    def phases(self, settings: EvaluationSettings, data: DataAgreement) -> tuple[ReleasePhase, ...]:
        """One release."""
        return (ReleasePhase(NAME, len(blocks_of(settings))),)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> EvaluationTask:
        """See `TaskKind.task`."""
        return EvaluationTask(run, EvaluationSettings.model_validate(run.task.settings))

    def enrolled(self, run: RunConfig, prepared: Prepared) -> ScoredPeople:
        """The people who take part, scored by the model, which this institution must have.

        Raises:
            ConfigError: It has not, or the model cannot answer about the outcome that the run names.
        """
        settings = EvaluationSettings.model_validate(run.task.settings)
        held = prepared.held_out
        opened = open_model(find_model(settings.model, prepared.models), held)
        people = opened.kind.held_out(opened.run, held)
        if len(people) != len(held.enrolled):
            raise InputError(f"the model's task finds {len(people)} held-out people of {len(held.enrolled)}")
        return ScoredPeople(vectors(_answers_about(answers(opened.task, people, held), settings), settings))


class EvaluationTask(HeldOutTask):
    """One noised sum, and the measures that follow from it."""

    def __init__(self, run: RunConfig, settings: EvaluationSettings) -> None:
        super().__init__(run, blocks_of(settings))
        self.settings = settings

    def values(self, phase: int, enrolled: ScoredPeople, people: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `ReleaseTask.values`."""
        return {NAME: enrolled.vectors[people]}

    def model(self) -> ReleaseModel:
        """The noised sums; their pages have the measures."""
        estimate = self.estimates(0)[NAME]
        card = run_card(self.run) | {"evaluates": self.settings.model, "people": estimate.people}
        found = {"model": self.settings.model, "run": self.run.run, "complete": self.complete}
        pages = None
        if self.complete:
            found |= measured(self.settings, estimate)
            pages = lambda folder: write_pages(folder, found)  # noqa: E731
        return ReleaseModel({_SUMS: estimate.sum}, card, pages)


def _answers_about(every: list[Answers], settings: EvaluationSettings) -> Answers:
    """Those about the outcome that the settings name.

    Raises:
        ConfigError: There are none, or of another kind.
    """
    chosen = [one for one in every if settings.target in (None, one.name)]
    where, cure = "settings of the task", "correct its settings: target, outcome and classes"
    if len(chosen) != 1:
        names = ", ".join(one.name for one in every)
        raise ConfigError(f"name one of the outcomes {names}", where=f"{where}: target", cure=cure)
    (one,) = chosen
    if one.outcome != settings.outcome:
        raise ConfigError(f"'{one.name}' is {one.outcome}, not {settings.outcome}", where=where, cure=cure)
    if one.outcome == "categorical" and one.classes != settings.classes:
        raise ConfigError(f"'{one.name}' has {one.classes} classes, not {settings.classes}", where=where, cure=cure)
    return one


EVALUATION = EvaluationKind()
