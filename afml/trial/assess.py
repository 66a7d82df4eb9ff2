"""A finished run, assessed: released files attacked and scored, all in one report.

Of a trial everybody is pooled in one process, which only open or simulated data may be, and its training is attacked
again. In a consortium each institution assesses its own file alone, by the same words and code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from afml.audit.run import AuditResult, attackable, audit_run
from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.core.files import require_file, require_private
from afml.core.progress import step
from afml.evaluation.details import trait_rows, write_details
from afml.evaluation.evaluate import Evaluation
from afml.evaluation.evaluate import evaluate as evaluate_release
from afml.evaluation.inputs import EvaluationInputs, OtherRelease
from afml.evaluation.limits import LIMITS, Limits
from afml.evaluation.page import PageDetails, write_html
from afml.evaluation.ran import DataSection, FederationSection, PrivacySection
from afml.evaluation.report import PhenotypeSection, Report, write_json
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.ledger.snapshot import origin_in
from afml.masking.chosen import masking_settings
from afml.masking.model import TrainedModel
from afml.masking.settings import MaskingSettings
from afml.release.alternatives import Basis, by_each_method, network_masks
from afml.release.method import METHODS
from afml.release.package.assessed import Assessed, files_of
from afml.release.package.manifest import PUBLICATION_FILE
from afml.release.plan import ReleasePlan
from afml.release.released import mask_alone
from afml.release.table import decoder_of
from afml.trial.attributes import attributes_of
from afml.trial.auditing import details_of, subject_of
from afml.trial.bench import labels_of
from afml.trial.overlap import overlap_of
from afml.trial.parties import Traffic
from afml.trial.people import people_of
from afml.trial.provenance import about, versions
from afml.trial.served import names_of, served
from node.inuse import in_use
from node.keptout import require_kept_out
from node.privacy import PrivacyStatement
from node.release import make_plan
from node.released import released_plan
from node.workspace import Workspace


@dataclass(frozen=True)
class Trial:
    """A run whose work folders are at hand, trained and released: all of them, or one institution's own.

    Attributes:
        config: The run.
        spaces: Work folders, one per institution.
        aggregator: The aggregator's data folder; None where an institution assesses its own file and nothing else.
        data_kind: Whether the genotypes are simulated.
        about: What `afml phenotypes` wrote beside its table; None where nothing was simulated.
        seed: Of reference profiles, random masks and attackers.
        groups: Table of people's groups (`afml.trial.bench.read_groups`); None: clusters of genotypes.
        attributes: Undeclared columns to ask about (`afml.trial.attributes`).
        limits: What is looked at in full up to which size.
        ledger: The institution's, where it assesses its own file; None: the one in its work folder.
    """

    config: RunConfig
    spaces: tuple[Workspace, ...]
    aggregator: Path | None
    data_kind: Literal["simulated", "vcf"]
    about: Path | None
    seed: int
    groups: Path | None = None
    attributes: tuple[str, ...] = ()
    limits: Limits = LIMITS
    ledger: Path | None = None

    @property
    def settings(self) -> MaskingSettings:
        """Of the masking task."""
        return masking_settings(self.config)

    @property
    def files(self) -> GenotypeFiles:
        """What is the same at every institution: site panel and panel people."""
        return GenotypeFiles(self.spaces[0].data)


@dataclass(frozen=True, eq=False)
class Assessment:
    """What was found.

    Attributes:
        report: In figures.
        plan: The release's.
        evaluation: Behind the report.
        audited: The attack on training; None where no round can be attacked, or nobody else's people are at hand.
        kept: Where the work folder keeps it, for `afml release publish`; None of a trial, of a release that is no
            package, and of one that is published already.
        later: People of an institution's own file who were neither kept out nor trained on: they came later.
    """

    report: Report
    plan: ReleasePlan
    evaluation: Evaluation
    audited: AuditResult | None
    kept: Path | None = None
    later: int = 0

    def write(self, out: Path) -> None:
        """Write report.json, details.json and report.html into a folder.

        An institution's own report is exact about its people: it goes into a folder that nobody else may enter.

        Raises:
            InputError: Others may enter it.
        """
        if self.report.scope == "own":
            require_private(out).mkdir(mode=0o700, parents=True, exist_ok=True)
        plan, found = self.plan, self.evaluation
        method = f"{plan.method}, {len(plan.codebook.patterns)} patterns; {plan.reason}"
        write_json(self.report, out / "report.json")
        write_details(found.details, out / "details.json")
        write_html(self.report, PageDetails(method, plan.fill, found.frontier, found.details), out / "report.html")


def assess(trial: Trial, seconds: dict[str, float]) -> Assessment:
    """Attack and score the releases of a trial, and attack its training; of one institution the release alone.

    Args:
        trial: What to assess.
        seconds: Wall times of earlier steps, to which its own are added.

    Raises:
        InputError: A work folder is not prepared or holds no release of the run, or the run has not ended; an
            institution's own calls people kept out whom the run was trained on.
    """
    with in_use(*trial.spaces):
        return _assess(trial, seconds)


def _assess(trial: Trial, seconds: dict[str, float]) -> Assessment:
    traffic = None if trial.aggregator is None else Traffic.load(trial.aggregator)
    files = files_of(trial.spaces[0].release(trial.config.run)) if trial.aggregator is None else None
    later, own = 0, None
    if trial.aggregator is None:
        space = trial.spaces[0]
        ledger = trial.ledger or space.ledger
        later, own = require_kept_out(space, trial.config.run, ledger), origin_in(ledger)
        plan = released_plan(space, trial.config.run)
    else:
        with step("planning the release again, as a recipient could"):
            plan = make_plan(trial.spaces[0], trial.config, trial.settings.release)
    with step("reading people and their records"):
        inputs = _inputs(trial, plan)
    with step("attacks, utility and baselines", seconds=seconds) as running:
        found = evaluate_release(inputs, running.note)
    audited = None if trial.aggregator is None else _audited(trial, seconds)
    if audited is not None:
        found = replace(found, details=found.details.model_copy(update={"audit": details_of(trial.config, audited)}))
    drawn = SitePanel.load(trial.files.site_panel).drawn_people
    report = Report(
        scope="pooled" if trial.aggregator else "own",
        about=about(trial.config, TrainedModel.load(trial.spaces[0].model(trial.config.run)), own),
        data=DataSection(
            kind=trial.data_kind, people=sum(len(one.dosage) for one in inputs.institutions),
            panel=0 if drawn else len(inputs.panel), panel_drawn=drawn, sites=trial.config.data.features,
            nodes=len(trial.spaces),
        ),
        privacy=_privacy(trial, audited),
        federation=None if traffic is None else _federation(traffic),
        release=found.release.model_copy(update={"method": plan.method}),
        baselines=found.baselines,
        rr_reduction_vs_random=found.rr_reduction_vs_random,
        traits=trait_rows(found.details),
        attributes=found.attributes,
        phenotype=_phenotype(trial.about),
        overlap=overlap_of(trial.spaces),
        sampled=found.sampled,
        seconds=seconds,
        versions=versions(),
    )  # fmt: skip
    return Assessment(report, plan, found, audited, None if files is None else _kept(trial, report, files), later)


def _kept(trial: Trial, report: Report, files: tuple[str, str]) -> Path | None:
    """Keep an institution's evaluation of a package, of the very files that were there before it was read."""
    version = trial.spaces[0].releases(trial.config.run).newest()
    if (version.folder / PUBLICATION_FILE).exists():
        return None  # the publication names the one that it stands on
    release, manifest = files
    configuration = trial.config.digest().hex()
    Assessed(configuration=configuration, release=release, manifest=manifest, report=report).save(version.assessment)
    return version.assessment


def _audited(trial: Trial, seconds: dict[str, float]) -> AuditResult | None:
    with step("training once more with canaries, and attacking it", seconds=seconds):
        return audit_run(subject_of(trial.config, trial.spaces), trial.seed) if attackable(trial.config) else None


def _inputs(trial: Trial, plan: ReleasePlan) -> EvaluationInputs:
    settings = trial.settings
    pooled = people_of(trial.config.run, trial.spaces, settings.risk, own=trial.aggregator is None)
    institutions, tables = pooled.institutions, pooled.tables
    store = GenotypeStore.open(trial.files.panel_store)
    panel = store.dosage()
    names = [name for table in tables for name in table.samples]
    model = TrainedModel.load(trial.spaces[0].model(trial.config.run))
    smallest = min(trial.config.enrolled.values())
    basis = Basis(panel, tuple(one.dosage for one in institutions), settings.release, smallest)
    others = _others(plan, model, basis)
    return EvaluationInputs(
        institutions=institutions,
        panel=panel,
        mask=lambda dosage: mask_alone(plan, dosage),
        risk_weights=served(np.atleast_2d(model.weights), settings) / model.scale,
        others=others,
        fill=plan.fill,
        genotype_error=settings.game.genotype_error,
        seed=trial.seed,
        names=names_of(settings),
        components=None
        if settings.risk.diseases
        else lambda dosage: model.risk_score(dosage).reshape(len(dosage), -1)[:, -settings.risk.kept_components :],
        told=decoder_of(plan, panel),
        labels=labels_of(trial.groups, names, store.samples),
        second=next((one for one in others if one.released is not None), None),
        attributes=attributes_of(settings.risk, tables, trial.attributes, trial.spaces[0].people),
        limits=trial.limits,
    )


def _others(plan: ReleasePlan, model: TrainedModel, basis: Basis) -> tuple[OtherRelease, ...]:
    """The same files as other methods would release them."""
    found = (
        *network_masks(model, plan.masked),
        *by_each_method(model, basis, [name for name in METHODS.names() if name != plan.method]),
    )
    return tuple(OtherRelease(one.name, one.mask, one.released) for one in found)


def _privacy(trial: Trial, audited: AuditResult | None) -> PrivacySection:
    """The worst institution's statement: the largest spend of any person."""
    statements = [PrivacyStatement.load(space.privacy(trial.config.run)) for space in trial.spaces]
    worst = max(statements, key=lambda one: (one.insecure, one.ple_sigma or 0.0))
    return PrivacySection(
        insecure=worst.insecure, epsilon=worst.epsilon, delta=worst.delta, ple_sigma=worst.ple_sigma,
        ple_at_delta=worst.ple_at_delta, ple_sigma_fixed_plan=worst.ple_sigma_fixed_plan, noise=trial.config.noise,
        epsilon_if_aggregation_broken=worst.epsilon_if_aggregation_broken,
        audited_ple_lower=None if audited is None else math.floor(audited.mu_lower * 1e4) / 1e4,  # a least value
    )  # fmt: skip


def _federation(traffic: Traffic) -> FederationSection:
    """Cost of the largest update, from the aggregator's own count."""
    return FederationSection(
        rounds=traffic.rounds, parameters=traffic.parameters, bytes_up_per_round=round(traffic.bytes_up),
        bytes_up_per_parameter=round(traffic.bytes_up / traffic.parameters, 4),
        seconds_per_round=traffic.seconds_per_round, aggregator_rss_mb=traffic.aggregator_rss_mb,
    )  # fmt: skip


def _phenotype(path: Path | None) -> PhenotypeSection:
    if path is None:
        return PhenotypeSection(simulated=False, causal_sites=0, heritability=0.0, seed=0)
    try:
        return PhenotypeSection.model_validate_json(require_file(path, "phenotype settings").read_text())
    except ValueError:
        cure = "simulate the phenotype again"
        raise InputError("is not what `afml phenotypes` writes", where=path, cure=cure) from None
