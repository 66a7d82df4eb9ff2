"""`afml evaluate`: attack and score the released files of a trial, pooled in one process; write the report."""

from __future__ import annotations

import functools
import json
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
from numpy.typing import NDArray

from afml import __version__
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.core.progress import console, step
from afml.core.run import NodeCard, RunConfig
from afml.evaluation.audit.run import AuditResult, audit_run
from afml.evaluation.details import write_details
from afml.evaluation.evaluate import EvaluationInputs, Institution, OtherRelease
from afml.evaluation.evaluate import evaluate as evaluate_release
from afml.evaluation.page import PageDetails, write_html
from afml.evaluation.report import (
    DataSection,
    FederationSection,
    PhenotypeSection,
    PrivacySection,
    Report,
    write_json,
)
from afml.evaluation.terminal import print_report
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.training.release import Method, ReleasePlan, apply_plan, mask_alone
from node.privacy import PrivacyStatement
from node.release import make_plan, read_aligned
from node.workspace import People, Workspace, load_holdings

_PATH = click.Path(path_type=Path)
_PACKAGES = ("torch", "opacus", "tenseal", "grpcio", "numpy", "cyvcf2", "dp-accounting", "scikit-learn")


@click.command()
@click.option("--run", "run_file", type=_PATH, required=True, help="run.json")
@click.option("--work", "works", type=_PATH, multiple=True, required=True, help="Work folders, one per institution.")
@click.option("--out", type=_PATH, required=True, help="Folder for report.json and report.html.")
@click.option(
    "--phenotype", "about", type=_PATH, default=None,
    help="What `afml phenotypes` wrote beside its table; left out where nothing was simulated.",
)
@click.option("--aggregator", type=_PATH, required=True, help="The aggregator's data folder.")
@click.option("--data-kind", type=click.Choice(["simulated", "vcf"]), default="vcf", show_default=True)
@click.option("--seconds", type=_PATH, default=None, help="JSON of earlier steps' wall times.")
@click.option("--seed", default=1, show_default=True, help="Of reference profiles, random masks and attackers.")
def evaluate(
    run_file: Path, works: tuple[Path, ...], out: Path, about: Path | None, aggregator: Path,
    data_kind: Literal["simulated", "vcf"], seconds: Path | None, seed: int,
) -> None:  # fmt: skip
    """Attack and score the releases of WORK folders.

    Pools everybody in one process, which only a trial on open or simulated data may do: in a consortium
    each institution attacks its own file.
    """
    config = RunConfig.load(run_file)
    spaces = [Workspace(path) for path in works]
    told: dict[str, float] = json.loads(seconds.read_text()) if seconds else {}
    with step("planning the release again, as a recipient could"):
        plan = make_plan(spaces[0], config, config.release)
        inputs = _inputs(spaces, config, plan, seed)
    with step("attacks, utility and baselines", seconds=told) as task:
        found = evaluate_release(inputs, task.note)
    with step("training once more with canaries, and attacking it", seconds=told):
        audited = _audit(config, spaces, seed)
    drawn = SitePanel.load(spaces[0].site_panel).drawn_people
    report = Report(
        data=DataSection(
            kind=data_kind, people=sum(len(one.dosage) for one in inputs.institutions),
            panel=0 if drawn else len(inputs.panel), panel_drawn=drawn, sites=config.sites, nodes=len(spaces),
        ),
        privacy=_privacy(config, spaces, audited),
        federation=_federation(aggregator),
        release=found.release.model_copy(update={"method": plan.method}),
        baselines=found.baselines,
        rr_reduction_vs_random=found.rr_reduction_vs_random,
        phenotype=_phenotype(about),
        seconds=told,
        versions=_versions(),
    )  # fmt: skip
    method = f"{plan.method}, {len(plan.codebook.patterns)} patterns; {plan.reason}"
    write_json(report, out / "report.json")
    write_details(found.details, out / "details.json")
    write_html(report, PageDetails(method, plan.fill, found.frontier, found.details), out / "report.html")
    print_report(report, plan.method, console, found.details)
    if audited is not None:
        audited.require_sound()


def _inputs(spaces: Sequence[Workspace], config: RunConfig, plan: ReleasePlan, seed: int) -> EvaluationInputs:
    institutions = tuple(_institution(space, config) for space in spaces)
    masked = 0 if plan.fill == "major" else -1
    model = plan.model

    def network(dosage: Any) -> Any:
        shown = model.network_release(dosage)
        return shown if masked == 0 else np.where(shown == 0, np.int8(-1), shown)

    others = [OtherRelease("network masks, ungrouped", network)] if len(model.game) else []
    methods: tuple[Method, ...] = ("codebook", "greedy", "network")
    for method in methods:
        if method != plan.method and (method != "network" or len(model.game)):
            other = make_plan(spaces[0], config, config.release.model_copy(update={"method": method}))
            files = tuple(apply_plan(other, one.dosage).dosage for one in institutions)
            name = method if method == "codebook" else f"{method} codebook"
            others.append(OtherRelease(name, functools.partial(mask_alone, other), files))
    return EvaluationInputs(
        institutions=institutions,
        panel=GenotypeStore.open(spaces[0].panel_store).dosage(),
        mask=lambda dosage: mask_alone(plan, dosage),
        risk_weights=_by_kind(np.atleast_2d(model.weights), config) / model.scale,
        others=tuple(others),
        fill=plan.fill,
        genotype_error=config.game.genotype_error,
        seed=seed,
        names=_names(config),
        components=(lambda dosage: model.risk_score(dosage).reshape(len(dosage), -1))
        if config.risk.kept_components
        else None,
    )


def _names(config: RunConfig) -> tuple[str, ...]:
    """Of the traits, binary ones first; none of the single phenotype of a run that declares no trait."""
    if config.risk.kept_components:
        return (f"reconstruction, {config.risk.kept_components} components",)
    if not config.risk.traits and config.risk.phenotypes == 1:
        return ()
    return tuple(_by_kind(np.array([trait.name for trait in config.risk.declared]), config).tolist())


def _by_kind(rows: NDArray[Any], config: RunConfig) -> NDArray[Any]:
    """Rows of traits in declared order -> binary ones first, as the evaluation has them; of components as they are."""
    if config.risk.kept_components:
        return rows
    return rows[np.argsort([trait.kind == "quantitative" for trait in config.risk.declared], kind="stable")]


def _institution(space: Workspace, config: RunConfig) -> Institution:
    space.require_prepared()
    require_file(space.release(config.run), "released VCF", "run `afml mask` first")
    people = People.load(space.people)
    dosage = GenotypeStore.open(space.cohort_store).dosage()
    everybody = people.cohort(dosage, config.risk, where=space.people)
    targets = everybody.phenotype.reshape(len(dosage), -1)
    number = np.array([trait.kind == "quantitative" for trait in config.risk.declared], dtype=np.bool_)
    return Institution(
        dosage, targets[:, ~number].astype(np.int8), people.enrolled, read_aligned(space, config.run),
        traits=targets[:, number].astype(np.float64) if number.any() else None,
        covariates=None if everybody.covariates is None else everybody.covariates.astype(np.float64),
    )  # fmt: skip


def _audit(config: RunConfig, spaces: Sequence[Workspace], seed: int) -> AuditResult | None:
    """The run once more, in this process, with made-up people beside the real ones; none without risk rounds."""
    if all(phase.name != "risk" for phase in config.phases):
        return None
    first = load_holdings(spaces[0], config.risk)
    cohorts = {NodeCard.load(space.card).node: load_holdings(space, config.risk).cohort for space in spaces}
    return audit_run(config, first.panel, first.panel_dosage, cohorts, seed)


def _privacy(config: RunConfig, spaces: Sequence[Workspace], audited: AuditResult | None) -> PrivacySection:
    """The worst institution's statement: the largest spend of any person."""
    worst = max((PrivacyStatement.load(s.privacy(config.run)) for s in spaces), key=lambda one: one.ple_sigma)
    return PrivacySection(
        epsilon=worst.epsilon, delta=worst.delta, ple_sigma=worst.ple_sigma, ple_at_delta=worst.ple_at_delta,
        noise=config.noise, epsilon_if_aggregation_broken=worst.epsilon_if_aggregation_broken,
        audited_ple_lower=None if audited is None else round(audited.mu_lower, 4),
    )  # fmt: skip


def _federation(aggregator: Path) -> FederationSection:
    """Cost of the largest update, from the aggregator's own count."""
    path = require_file(aggregator / "summary.json", "aggregator summary", "let the run finish first")
    summary = json.loads(path.read_text())
    parameters = max(upload["parameters"] for upload in summary["uploads"])
    size = statistics.median(u["bytes"] for u in summary["uploads"] if u["parameters"] == parameters)
    return FederationSection(
        rounds=summary["rounds"], parameters=parameters, bytes_up_per_round=round(size),
        bytes_up_per_parameter=round(size / parameters, 4), seconds_per_round=summary["seconds_per_round"],
        aggregator_rss_mb=summary["aggregator_rss_mb"],
    )  # fmt: skip


def _phenotype(path: Path | None) -> PhenotypeSection:
    if path is None:
        return PhenotypeSection(simulated=False, causal_sites=0, heritability=0.0, seed=0)
    try:
        return PhenotypeSection.model_validate_json(require_file(path, "phenotype settings").read_text())
    except ValueError:
        cure = "simulate the phenotype again"
        raise InputError("is not what `afml phenotypes` writes", where=path, cure=cure) from None


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _PACKAGES}
    return {"afml": __version__, "python": platform.python_version(), "platform": platform.platform(), **found}
