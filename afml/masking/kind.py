"""The masking task as a tenant: its settings, what it refuses, and how it is opened at an institution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.data.prepared import Prepared
from afml.genomics.files import GenotypeFiles
from afml.genomics.public import agreed_panel
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.masking.chosen import (
    KINDS,
    masking_settings,
    parsed,
)
from afml.masking.enrolled import Enrolled, read_columns
from afml.masking.model import TrainedModel
from afml.masking.plan import parameter_counts, plan_phases, wish_of
from afml.masking.public import PublicSide, public_digest
from afml.masking.settings import GAME, RISK, MaskingSettings
from afml.masking.task import MaskingTask
from afml.training.inprocess import Told, train_in_process
from afml.training.planning import Plan, Rounds, Terms


class MaskingKind:
    """See `afml.training.task.TaskKind`."""

    data = KINDS

    def settings(self, given: Mapping[str, Any]) -> MaskingSettings:
        """The settings of a run, validated and completed."""
        return parsed(given)

    def check(self, run: RunConfig) -> None:
        """Refuse settings and phases that contradict each other."""
        settings = self.settings(run.task.settings)
        risk, names = settings.risk, {phase.name for phase in run.phases}
        problem = ""
        if unknown := names - {RISK, GAME}:
            problem = f"the masking task has no phase {sorted(unknown)[0]}"
        elif risk.kept_components >= run.data.features:
            problem = (
                f"a release at {run.data.features} sites cannot keep {risk.kept_components} components; "
                "lower kept_components or prepare more sites"
            )
        elif risk.focus and sum(phase.name == RISK for phase in run.phases) > 1:
            problem = "focus counts the rounds of one risk phase, and this run has several"
        elif not risk.declared and RISK in names:
            problem = "no trait is declared, so risk rounds would spend budget and learn nothing"
        elif GAME in names and settings.game.normalisation == "batch":
            problem = (
                "batch normalisation mixes people, so private game rounds would have no per-person gradients; "
                "use game.normalisation = 'group' or no private game rounds"
            )
        elif GAME in names and not settings.game.private:
            problem = (
                "game.private is empty, so private game rounds would spend budget and train nothing; "
                "name a loss or use no private game rounds"
            )
        elif not run.public_part or any(phase.needs_public != (phase.name == GAME) for phase in run.phases):
            problem = "game phases, and no others, need the public part, which every masking run has"
        if problem:
            raise ConfigError(problem, where=f"run {run.run}", cure="configure the run again")

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """Risk rounds, then game rounds; see `afml.masking.plan`."""
        settings = self.settings(given)
        return Plan(phases=plan_phases(wish_of(settings, rounds, terms), settings, data.features), public_part=True)

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """P of every phase."""
        risk, game = parameter_counts(run.data.features, self.settings(run.task.settings))
        return tuple(risk if phase.name == RISK else game for phase in run.phases)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> MaskingTask:
        """The task over an institution's panel."""
        return masking_task(run, *agreed_panel(public, run.data), bf16=bf16)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """The people of an institution: genotypes, and the traits and covariates that the run declares."""
        risk = self.settings(run.task.settings).risk
        people, table, files = prepared.people, prepared.table, GenotypeFiles(prepared.folder)
        # Held-out people's columns are needed after training, when the budget is spent: refuse now what fails then.
        every = read_columns(people, risk, where=table)
        rows = prepared.enrolled
        dosage = GenotypeStore.open(files.cohort_store).dosage(rows)
        public = public_digest(SitePanel.load(files.site_panel), GenotypeStore.open(files.panel_store).dosage())
        return replace(every.rows(rows), dosage=dosage, public=public)

    def held_out(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """See `TaskKind.held_out`."""
        return self.enrolled(run, prepared.held_out)


MASKING = MaskingKind()


def masking_task(
    run: RunConfig, panel: SitePanel, panel_dosage: NDArray[np.int8], *, bf16: bool = False
) -> MaskingTask:
    """The task of a masking run over a panel.

    Args:
        run: The run configuration.
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel's people, [panel people, sites].
        bf16: See `TaskKind.open`.

    Raises:
        ConfigError: Run, panel and dosages do not belong together.
    """
    MASKING.check(run)
    settings = masking_settings(run)
    return MaskingTask(run, settings, PublicSide(run, settings, panel, panel_dosage), bf16=bf16)


def train_masking(
    run: RunConfig,
    panel: SitePanel,
    panel_dosage: NDArray[np.int8],
    enrolled: Mapping[int, Enrolled],
    progress: Told | None = None,
) -> TrainedModel:
    """A masking run in one process; see `afml.training.inprocess`."""
    task = masking_task(run, panel, panel_dosage)
    train_in_process(run, task, enrolled, progress)
    return task.model()
