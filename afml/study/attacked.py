"""Attacks as published, made again on raw exomes, and a release of the study under all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.core.files import require_file
from afml.evaluation.evaluate import evaluate
from afml.evaluation.groups import Labels, labelled
from afml.evaluation.harder import Harder
from afml.evaluation.inputs import EvaluationInputs, Institution, OtherRelease
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.partition import read_people
from afml.masking.chosen import masking_settings
from afml.masking.kind import train_masking
from afml.masking.settings import GameSettings
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from afml.release.table import decoder_of
from afml.study import published
from afml.study.data import DataSettings, Note, StudyData, exomes, file_digest, load
from afml.study.design import Design
from afml.study.published import Raw, Row
from afml.study.reproduction import phases
from afml.study.runner import Places
from afml.study.settings import EVALUATION_SEED, RunSettings
from afml.study.single import SECOND_PHENOTYPE, code_digest, enrolled_of, phenotypes

ALL_EXOMES = "1kg_grch38_exome_chr13_15_18_21_22.2548.vcf.gz"
EVERYBODY = "panel_2548.tsv"
CAUSAL, SEED, PANEL, BEACON, EUROPEANS = 20, 1001, 500, 65, "EUR"
_EVERY_SITE = 10_000_000


class UnderAttack(Settings):
    """results/attacks.json.

    Attributes:
        rows: What others published, and what the same attack reaches here on raw exomes.
        rr, rr_ci95, rr_by_attack: Of a release of the study.
        membership_auc: Of the same release, by the best attack.
        harder: Relatives, groups by super-population, recovery, and a second release for another phenotype.
        patterns: Of the release.
        people: Private people.
        code_digest: Of the code that made it.
    """

    rows: tuple[Row, ...]
    rr: float
    rr_ci95: tuple[float, float]
    rr_by_attack: dict[str, float]
    membership_auc: float
    harder: Harder
    patterns: int
    people: int
    code_digest: str


def under_attack(places: Places, note: Note) -> UnderAttack:
    """Make it.

    Args:
        places: Where the exomes are, and the cache.
        note: Told what is running.

    Raises:
        InputError: The exomes are not there.
    """
    code, folder = code_digest(), places.source or Path(".")  # of the code that was imported
    vcf, _ = exomes(folder)
    settings = DataSettings(kind="vcf", source=file_digest(vcf), sites=0)
    everything = load(settings, source=folder, cache=places.cache, note=note)
    raw = Raw(np.concatenate([everything.panel_dosage, *everything.files]), everything.panel_dosage)
    rows: list[Row] = []
    for claim in (
        published.sparse_and_noisy, published.mosaics, published.few_of_a_relative, published.relatives,
        published.score_inversion,
    ):  # fmt: skip
        note(claim.__name__)
        rows += claim(raw)
    note("beacon")
    rows += published.beacon(*_europeans(folder))
    found = _released(places, settings.model_copy(update={"sites": 1024}), tuple(rows), note)
    return found.model_copy(update={"code_digest": code})


def _europeans(folder: Path) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """(65 in a beacon, other Europeans, further ones for frequencies), at every site where somebody varies."""
    vcf = require_file(folder / ALL_EXOMES, "VCF", "point DATA (--data) at the folder of the 1000 Genomes exomes")
    columns, table = read_people(require_file(folder / EVERYBODY, "people table"))
    panel = build_site_panel(vcf, SiteChoice(_EVERY_SITE, min_maf=1e-9))
    with tempfile.TemporaryDirectory() as scratch:
        store = build_store(vcf, panel, Path(scratch) / "all.zarr")
        of = columns.index("super_pop")
        rows = [row for row, name in enumerate(store.samples) if name in table and table[name][of] == EUROPEANS]
        dosage = store.dosage(np.array(rows))
    order = np.random.default_rng(SEED).permutation(len(dosage))
    half = (len(dosage) - BEACON) // 2
    members, others, known = np.split(dosage[order], [BEACON, BEACON + half])
    return members, others, known


def _released(places: Places, settings: DataSettings, rows: tuple[Row, ...], note: Note) -> UnderAttack:
    data = load(settings, source=places.source, cache=places.cache, note=note)
    design = Design(settings, phases, lambda sites: len(data.panel))
    first = design.job(CAUSAL, SEED, private=False, game=GameSettings(steps=0)).settings
    note("a release, and another for a second phenotype of the same people")
    plan, weights, values = _plan(first, data)
    again, _, _ = _plan(first.model_copy(update={"phenotype_seed": SEED + SECOND_PHENOTYPE}), data)
    files = [apply_plan(plan, file).dosage for file in data.files]
    second = tuple(apply_plan(again, file).dosage for file in data.files)
    institutions = zip(data.files, data.by_file(values), data.enrolled, files, strict=True)
    found = evaluate(
        EvaluationInputs(
            institutions=tuple(Institution(*one) for one in institutions),
            panel=data.known,
            mask=lambda dosage: mask_alone(plan, dosage),
            risk_weights=weights,
            fill=plan.fill,
            seed=EVALUATION_SEED,
            told=decoder_of(plan, data.panel_dosage),
            labels=_super_populations(data),
            second=OtherRelease("another phenotype", lambda dosage: mask_alone(again, dosage), second),
        ),
        note,
    )
    assert found.details.harder is not None
    return UnderAttack(
        rows=rows,
        rr=found.release.rr,
        rr_ci95=found.release.rr_ci95,
        rr_by_attack=found.release.rr_by_attack,
        membership_auc=found.details.membership.auc,
        harder=found.details.harder,
        patterns=found.release.patterns,
        people=data.people,
        code_digest="",
    )


def _plan(settings: RunSettings, data: StudyData) -> tuple[ReleasePlan, NDArray[np.float64], NDArray[np.int8]]:
    """(plan, risk weights per dosage, phenotype of all private people) of one run."""
    config = settings.run_config(data)
    values, _ = phenotypes(settings, data)
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(data, values))
    agreed = masking_settings(config).release
    plan = plan_release(model, data.panel_dosage, agreed, people_per_file=min(config.enrolled.values()))
    return plan, model.weights / model.scale, values[0]


def _super_populations(data: StudyData) -> Labels:
    assert data.folder is not None
    parts: list[list[str | None]] = []
    for part in ("panel", *(f"node-{node}" for node in range(1, len(data.files) + 1))):
        columns, rows = read_people(data.folder / f"{part}.people.tsv")
        parts.append([fields[columns.index("super_pop")] for fields in rows.values()])
    return labelled([name for part in parts[1:] for name in part], parts[0])


def table(report: UnderAttack) -> str:
    """results/attacks.md."""
    lines = ["# Attacks as published, and a release under all of them", "", "`make reproduce-attacks DATA=FOLDER`.", ""]
    lines += ["| paper | what, on raw exomes | published | measured here |", "|---|---|---|---|"]
    for row in report.rows:
        measured = _share(row.measured, row.ci95, 1)
        lines.append(f"| {row.paper} | {row.what} | {row.published} | {measured} |")
    about = f"A release of {report.patterns} patterns, {report.people} people, {CAUSAL} causal sites, PLE 0.9 sigma:"
    lines += ["", about, "", "| question | answer |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {answer} |" for what, answer in _answers(report))]) + "\n"


def _answers(report: UnderAttack) -> Iterator[tuple[str, str]]:
    harder = report.harder
    yield f"RR, worst of {len(report.rr_by_attack)} attacks", _share(report.rr, report.rr_ci95)
    yield "by construction: patterns / people", _share(report.patterns / report.people)
    yield from ((f"by {name}", _share(value)) for name, value in report.rr_by_attack.items())
    for point in harder.relatives:
        yield (
            f"RR by relatives of degree {point.degree}",
            f"{_share(point.rr, point.ci95)}, chance {_share(point.chance)}",
        )
    for group in harder.groups.groups:
        told = _share(group.rr, group.ci95)
        if group.membership is not None:
            low, high = group.membership.ci95
            told += f"; membership AUC {group.membership.auc:.3f} ({low:.3f} to {high:.3f})"
        yield f"RR of {group.name}, {group.people} people", told
    yield "worst group over the mean", f"{harder.groups.ratio:.2f}"
    if harder.groups.ratio_by_chance is not None:
        yield "the same of random groups, 95 of 100 at most", f"{harder.groups.ratio_by_chance:.2f}"
    yield "membership AUC, everybody", f"{report.membership_auc:.3f}"
    found = harder.recovery
    yield "genotypes right from a record, from the panel", f"{_share(found.accuracy)}, {_share(found.panel_accuracy)}"
    if harder.again is not None:
        two = harder.again
        yield f"RR with a second release ({two.name})", _share(two.rr, two.ci95)
        yield "pairs of patterns, least group", f"{two.patterns}, {two.smallest_group}"
        yield "records of the two files matched", f"{_share(two.matched)}, chance {_share(two.matched_by_chance)}"


def _share(value: float, ci95: tuple[float, float] | None = None, decimals: int = 2) -> str:
    wide = "" if ci95 is None else f" ({100 * ci95[0]:.{decimals}f} to {100 * ci95[1]:.{decimals}f})"
    return f"{100 * value:.{decimals}f} %{wide}"
