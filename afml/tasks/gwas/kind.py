"""Association scans as a tenant: settings, what they refuse, and how a scan is opened at an institution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.core.errors import ConfigError
from afml.data.people import PersonColumns
from afml.data.prepared import Prepared
from afml.genomics.files import GenotypeFiles
from afml.genomics.public import agreed_panel
from afml.genomics.store import GenotypeStore
from afml.tasks.gwas.people import ScanPeople, columns_of
from afml.tasks.gwas.settings import CROSS, FOLLOW, LEAST_NOISE, SCORES, GwasSettings
from afml.tasks.gwas.task import GwasTask, vectors
from afml.tasks.release.kind import ReleaseKind
from afml.tasks.release.plan import ReleasePhase
from afml.training.planning import Plan, Rounds, Terms

NAME = "gwas"


class GwasKind(ReleaseKind):
    """See `afml.training.task.TaskKind`."""

    data: ClassVar[tuple[str, ...]] = ("genotypes",)
    settings_type: ClassVar[type[Settings]] = GwasSettings

    def phases(self, settings: GwasSettings, data: DataAgreement) -> tuple[ReleasePhase, ...]:
        """See `ReleaseKind.phases`."""
        share, again = settings.cross_share, settings.follow_share if settings.follows(data.features) else 0.0
        weights = {CROSS: share, SCORES: (1.0 - share) * (1.0 - again), FOLLOW: (1.0 - share) * again}
        return tuple(
            ReleasePhase(name, len(vector), weights[name]) for name, vector in vectors(settings, data.features).items()
        )

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`: two releases, after the public part where components are adjusted for."""
        planned = super().plan(given, data, rounds, terms)
        needs = _needs_public(given)
        phases = tuple(phase.model_copy(update={"needs_public": needs}) for phase in planned.phases)
        return planned.model_copy(update={"phases": phases, "public_part": needs})

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        bare = tuple(phase.model_copy(update={"needs_public": False}) for phase in run.phases)
        super().check(run.model_copy(update={"phases": bare, "public_part": False}))
        problem, needs = "", _needs_public(run.task.settings)
        if run.public_part != needs or any(phase.needs_public != needs for phase in run.phases):
            problem = "a scan has a public part where it adjusts for components of the panel, and only then"
        for phase in run.phases:
            if phase.noise_multiplier < LEAST_NOISE:
                problem = (
                    f"noise of {phase.noise_multiplier:g} would make the scan nearly exact; no scan has less than "
                    f"{LEAST_NOISE:g}"
                )
        if problem:
            raise ConfigError(problem, where=f"run {run.run}", cure="configure the run again with a smaller --ple")

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> GwasTask:
        """The scan over an institution's public panel; see `TaskKind.task`."""
        settings = GwasSettings.model_validate(run.task.settings)
        sites, dosage = agreed_panel(public, run.data)
        most = min(dosage.shape) - 1
        if settings.components and sites.drawn_people:
            raise ConfigError(
                "a panel drawn from allele frequencies has no principal components",
                where=f"run {run.run}",
                cure="have the coordinator set components = 0, or use a panel of people",
            )
        if settings.components > most:
            raise ConfigError(
                f"a panel of {len(dosage)} people at {dosage.shape[1]} sites has no {settings.components} components",
                where=f"run {run.run}",
                cure=f"have the coordinator set components to {most} at most",
            )
        return GwasTask(run, settings, sites, dosage)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> ScanPeople:
        """See `TaskKind.enrolled`."""
        settings = GwasSettings.model_validate(run.task.settings)
        places, people = prepared.enrolled, prepared.people
        columns = PersonColumns(people.columns.names, people.columns.values[places])
        trait, covariates = columns_of(settings, columns, where=prepared.table)
        store = GenotypeStore.open(GenotypeFiles(prepared.folder).cohort_store)
        agreed = f"{run.data.fingerprint} {run.data.panel}"
        return ScanPeople(store, places, trait, covariates, len(store.panel), agreed)

    def held_out(self, run: RunConfig, prepared: Prepared) -> ScanPeople:
        """See `TaskKind.held_out`."""
        return self.enrolled(run, prepared.held_out)


GWAS = GwasKind()


def _needs_public(settings: Mapping[str, Any]) -> bool:
    return GwasSettings.model_validate(dict(settings)).components > 0
