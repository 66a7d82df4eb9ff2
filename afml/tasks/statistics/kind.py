"""The statistics task as a tenant: what it refuses, and how it is opened at an institution."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.data.prepared import Prepared
from afml.data.schema import Schema
from afml.genomics.public import agreed_panel
from afml.tasks.release.blocks import Blocks
from afml.tasks.release.kind import ReleaseKind
from afml.tasks.release.plan import ReleasePhase
from afml.tasks.statistics.columns import column_blocks
from afml.tasks.statistics.people import (
    StatisticsPeople,
    genotype_people,
    require_columns,
    row_people,
)
from afml.tasks.statistics.settings import StatisticsSettings
from afml.tasks.statistics.sites import counts_shortened
from afml.tasks.statistics.task import RELEASE, PublicSites, StatisticsTask

_SITES = "genotypes"


class StatisticsKind(ReleaseKind):
    """See `afml.training.task.TaskKind`."""

    data = (_SITES, "table", "array", "images")
    settings_type = StatisticsSettings

    def phases(self, settings: Any, data: DataAgreement) -> tuple[ReleasePhase, ...]:
        """One release of everything; its length follows from settings and number of sites."""
        given = cast(StatisticsSettings, settings)
        figures = given.site_figures(data.kind)
        if figures and data.kind != _SITES:
            problem = f"figures of sites are asked for, the institutions prepared {data.kind}"
            raise ConfigError(problem, where="sites", cure="leave sites out of --settings and name columns")
        if any(column.kind == "category" for column in given.columns) and data.kind == _SITES:
            problem = "the table beside genotypes holds numbers, no categories"
            raise ConfigError(problem, where="columns", cure="declare the column a number or binary")
        if not figures and not given.columns:
            raise ConfigError("nothing is released", where="settings of the task", cure="name columns in --settings")
        length = len(figures) * data.features + counts_shortened(given, figures)
        if given.columns:
            length += len(Blocks(*column_blocks(given, 1.0)))
        return (ReleasePhase(RELEASE, length),)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> StatisticsTask:
        """See `TaskKind.task`."""
        settings = cast(StatisticsSettings, self.settings(run.task.settings))
        if run.data.kind != _SITES:
            schema = public / "schema.json"
            require_columns(settings, Schema.load(schema), schema)
            return StatisticsTask(run, settings, None)
        if not settings.site_figures(run.data.kind):
            return StatisticsTask(run, settings, None)
        return StatisticsTask(run, settings, PublicSites(*agreed_panel(public, run.data)))

    def enrolled(self, run: RunConfig, prepared: Prepared) -> StatisticsPeople:
        """See `TaskKind.enrolled`."""
        settings = cast(StatisticsSettings, self.settings(run.task.settings))
        return genotype_people(settings, prepared) if run.data.kind == _SITES else row_people(settings, prepared)

    def held_out(self, run: RunConfig, prepared: Prepared) -> StatisticsPeople:
        """See `TaskKind.held_out`."""
        return self.enrolled(run, prepared.held_out)


STATISTICS = StatisticsKind()
