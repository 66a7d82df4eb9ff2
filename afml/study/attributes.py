"""Attributes on real exomes: releases that may tell super-population beside a disease, and one that may not.

Beside them other uses of the same files, and what DP summaries of the same people say at the same PLE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.data.attribute import Attribute
from afml.data.columns import Trait
from afml.evaluation.agreement import frequencies, trend_z
from afml.evaluation.attacks.base import Case, Int8
from afml.evaluation.attributes import Known, tells
from afml.evaluation.disclosure import judge, measured
from afml.evaluation.evaluate import attacked
from afml.evaluation.harder import attackers
from afml.evaluation.inputs import EvaluationInputs, Institution
from afml.evaluation.report import AttributeRow
from afml.evaluation.rr import attack_all
from afml.evaluation.utility import Outcome, as_read, judged
from afml.genomics.liability import simulate_phenotype
from afml.genomics.partition import read_people
from afml.masking.chosen import masking_settings
from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from afml.masking.plan import Wish, plan_phases
from afml.masking.settings import FOCUS, GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.released import Released, apply_plan, mask_alone
from afml.release.table import Decoder
from afml.study.data import DataSettings, Note, StudyData, exomes, file_digest, load
from afml.study.runner import Places
from afml.study.settings import EVALUATION_SEED, RunSettings
from afml.study.single import SECOND_PHENOTYPE, code_digest, enrolled_of, phenotypes
from afml.study.uses import ALLELES, TOP, Uses, frequencies_run, released_frequencies, uses_of

SITES, CAUSAL, PLE, ROUNDS, SEEDS = 1024, 20, 0.9, 20, (1, 2, 3, 4, 5)
SUPER_POPULATIONS, SEXES = ("AFR", "AMR", "EAS", "EUR", "SAS"), ("female", "male")
COMPONENTS = 4
ANCESTRY = Attribute(name="super_pop", classes=SUPER_POPULATIONS, source="components")
#: (what a release may tell, method, patterns).
ARMS = (
    ("disease", "auto", 10),
    ("disease", "cells", 10),
    ("disease and super_pop", "codebook", 10),
    ("disease and super_pop", "cells", 10),
)


class Arm(Settings):
    """One release.

    Attributes:
        tells: What it may tell.
        method: Its release method.
        seed: Of the phenotype.
        patterns: In use, over all files.
        least_group: Smallest group of any file.
        rr, rr_ci95: Worst of the attacks that need no training, among all private people.
        rr_bound: Patterns over people: no attacker does better among all of them.
        utility_ratio: Of the disease: AUC from what recipients train on over that of the fixed raw pipeline.
        attributes: Accuracy of super-population, sex and a second simulated disease from the records.
        membership_auc: Whether somebody is in the files: the best attack, against panel people.
        uses: Of the file, taken at face value.
    """

    tells: str
    method: str
    seed: int
    patterns: int
    least_group: int
    rr: float
    rr_ci95: tuple[float, float]
    rr_bound: float
    utility_ratio: float
    attributes: tuple[AttributeRow, ...]
    membership_auc: float
    uses: Uses


class AttributesFound(Settings):
    """results/attributes.json.

    Attributes:
        arms: Every release.
        summaries: By seed: allele frequencies by the task `statistics`, and the associations of the DP risk model.
        panel: The same of the public panel alone; nothing is known of the disease there.
        people: Private people.
        ple: Of every model, in sigma.
        code_digest: Of the code that made it.
    """

    arms: tuple[Arm, ...]
    summaries: tuple[Uses, ...]
    panel: Uses
    people: int
    ple: float
    code_digest: str


def measure_attributes(places: Places, note: Note) -> AttributesFound:
    """Make every release and measure it.

    Args:
        places: Where the exomes are, and the cache.
        note: Told what is running.

    Raises:
        InputError: The exomes are not there.
    """
    code, (vcf, _) = code_digest(), exomes(places.source or Path("."))
    settings = DataSettings(kind="vcf", source=file_digest(vcf), sites=SITES)
    data = load(settings, source=places.source, cache=places.cache, note=note)
    arms, summaries = [], []
    for seed in SEEDS:
        for told, method, patterns in ARMS:
            note(f"{told}, {method}, seed {seed}")
            made = _made(data, settings, told, ReleaseSettings(method=method, patterns=patterns), seed)
            arms.append(_arm(data, made, told, seed))
        note(f"summaries, seed {seed}")
        told_frequencies, _ = released_frequencies(data, frequencies_run(data, ALLELES, seed, PLE))
        summaries.append(uses_of(data, made.disease, told_frequencies, np.atleast_2d(made.model.evidence)[0]))
    return AttributesFound(
        arms=tuple(arms), summaries=tuple(summaries), people=data.people, ple=PLE, code_digest=code,
        panel=uses_of(data, made.disease, frequencies(data.panel_dosage), np.zeros(len(data.panel))),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Made:
    """A model, its plan, and the files that were released by it; the disease of everybody."""

    model: TrainedModel
    plan: ReleasePlan
    files: list[Released]
    disease: NDArray[np.int8]


def _made(data: StudyData, about: DataSettings, told: str, release: ReleaseSettings, seed: int) -> _Made:
    """Train, plan, release."""
    components = COMPONENTS if "super_pop" in told else 0
    attributes = (ANCESTRY,) if components else ()
    risk = RiskSettings(traits=(Trait(name="disease"),), kept_components=components, attributes=attributes, focus=FOCUS)
    game = GameSettings(steps=0)
    wish = Wish(ple=PLE, delta=1e-5, rounds=ROUNDS, game_rounds=0, game_share=0.0, reserve=1)
    phases = plan_phases(wish, MaskingSettings(risk=risk, game=game, release=release), len(data.panel))
    settings = RunSettings(
        data=about, causal=CAUSAL, phenotype_seed=seed, ple=PLE, phases=phases, risk=risk, game=game, release=release
    )
    config = settings.run_config(data)
    (disease,), _ = phenotypes(settings, data)
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(data, (disease,)))
    agreed, smallest = masking_settings(config).release, min(config.enrolled.values())
    plan = plan_release(model, data.panel_dosage, agreed, people_per_file=smallest)
    return _Made(model, plan, [apply_plan(plan, file) for file in data.files], disease)


def _arm(data: StudyData, made: _Made, told: str, seed: int) -> Arm:
    plan, training, dosage = made.plan, np.concatenate(data.enrolled), np.concatenate(data.files)
    released = tuple(one.dosage for one in made.files)
    records, decoder = np.concatenate(released), Decoder(plan, data.panel_dosage)
    case = _case(data, made, released, dosage)
    linked = attack_all(case, attackers())
    outcome = Outcome(made.disease, training)
    worth, raw = judged(as_read(decoder(records), outcome), outcome).reached, judged(dosage, outcome).reached
    asked, patterns = _asked(data, dosage, seed, "super_pop" in told), len(np.unique(records, axis=0))
    return Arm(
        tells=told, method=plan.method, seed=seed, patterns=patterns,
        least_group=min(one.min_group_size for one in made.files), rr=linked.rr, rr_ci95=linked.ci95,
        rr_bound=patterns / len(dosage), utility_ratio=worth / raw,
        attributes=tuple(tells(known, training, records, dosage, decoder) for known in asked),
        membership_auc=measured(judge(records, case.references, case.knowledge, seed=EVALUATION_SEED)).auc,
        uses=uses_of(data, made.disease, frequencies(records), trend_z(records[training], made.disease[training])),
    )  # fmt: skip


def _case(data: StudyData, made: _Made, released: tuple[Int8, ...], dosage: Int8) -> Case:
    files = zip(data.files, data.by_file(made.disease), data.enrolled, released, strict=True)
    inputs = EvaluationInputs(
        institutions=tuple(Institution(*one) for one in files), panel=data.known,
        mask=lambda people: mask_alone(made.plan, people), risk_weights=made.model.weights / made.model.scale,
        fill=made.plan.fill, seed=EVALUATION_SEED,
    )  # fmt: skip
    return attacked(inputs, dosage)


def _asked(data: StudyData, dosage: NDArray[np.int8], seed: int, ancestry: bool) -> Iterator[Known]:
    yield Known("super_pop", SUPER_POPULATIONS, _numbers(data, "super_pop", SUPER_POPULATIONS), ancestry)
    yield Known("sex", SEXES, _numbers(data, "sex", SEXES))
    other, _ = simulate_phenotype(dosage, causal=CAUSAL, heritability=0.5, seed=seed + SECOND_PHENOTYPE)
    yield Known("another disease", ("control", "case"), other.astype(np.int64))


def _numbers(data: StudyData, column: str, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """The class of every private person, in the order of the files."""
    assert data.folder is not None
    found: list[int] = []
    for node in range(1, len(data.files) + 1):
        columns, rows = read_people(data.folder / f"node-{node}.people.tsv")
        found += [classes.index(fields[columns.index(column)]) for fields in rows.values()]
    return np.array(found, dtype=np.int64)


def table(found: AttributesFound) -> str:
    """results/attributes.md: medians over seeds."""
    lines = ["# Attributes that may be known", "", "`make reproduce-attributes DATA=FOLDER`.", ""]
    lines += [
        f"{found.people:,} people of real exomes, {SITES:,} sites, one disease of {CAUSAL} causal sites, PLE "
        f"{found.ple:g} sigma,",
        f"medians of {len(SEEDS)} seeds. Accuracy is of held-out people, of a recipient who knows the class of the",
        "training people; in brackets the commonest class alone. RR is of the worst of four attacks among all people.",
        "",
        "| may tell, method | patterns | RR; bound; least group | disease, ratio of AUC | super-population, raw "
        "| sex | another disease |",
        "|---|---|---|---|---|---|---|",
    ]
    for (told, asked, _), arms in _by_arm(found):
        super_pop, sex, other = (_accuracy([arm.attributes[at] for arm in arms]) for at in range(3))
        raw = float(np.median([arm.attributes[0].raw_accuracy for arm in arms]))
        methods = ", ".join(dict.fromkeys([asked, *(arm.method for arm in arms)]))
        protected = "; ".join((_share(_median(arms, "rr")), _share(_median(arms, "rr_bound")),
                               f"{min(arm.least_group for arm in arms)}"))  # fmt: skip
        lines.append(
            f"| {told}; {methods} | {_median(arms, 'patterns'):g} | {protected} | {_median(arms, 'utility_ratio'):.3f} "
            f"| {super_pop}, {_share(raw, 1)} | {sex} | {other} |"
        )
    lines += [
        "", "## Other uses of the same files", "",
        "| | allele frequencies: mean error; correlation; sites that show nobody | retention of the "
        f"{TOP} sites with the largest chi-square | membership AUC |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for (told, asked, _), arms in _by_arm(found):
        lines.append(_use(f"{told}; {asked}", [arm.uses for arm in arms], f"{_median(arms, 'membership_auc'):.3f}"))
    lines.append(_use("DP summaries of the same people", list(found.summaries), "bounded by the PLE"))
    lines.append(_use("the public panel alone", [found.panel], "none"))
    return "\n".join(lines) + "\n"


def _by_arm(found: AttributesFound) -> Iterator[tuple[tuple[str, str, int], list[Arm]]]:
    for index, asked in enumerate(ARMS):
        yield asked, list(found.arms[index :: len(ARMS)])


def _use(name: str, uses: list[Uses], membership: str) -> str:
    correlations = [one.frequency_correlation for one in uses if one.frequency_correlation is not None]
    correlation = f"{np.median(correlations):.3f}" if correlations else "none"
    error = float(np.median([one.frequency_error for one in uses]))
    nobody = float(np.median([one.sites_without_calls for one in uses]))
    kept = float(np.median([one.scan_retention for one in uses]))
    return f"| {name} | {error:.4f}; {correlation}; {nobody:g} | {_share(kept, 0)} | {membership} |"


def _median(arms: list[Arm], field: str) -> float:
    return float(np.median([getattr(arm, field) for arm in arms]))


def _accuracy(rows: list[AttributeRow]) -> str:
    accuracy, base = (float(np.median([getattr(row, name) for row in rows])) for name in ("accuracy", "base_rate"))
    return f"{_share(accuracy, 1)} ({_share(base, 1)})"


def _share(value: float, decimals: int = 2) -> str:
    return f"{100 * value:.{decimals}f} %"
