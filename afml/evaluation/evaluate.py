"""One release of several institutions, evaluated: re-identification, utility, baselines.

This pools the genotypes of all institutions in one process. That is possible in the demo and in experiments
on open data only; in a consortium each node can attack its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afml.evaluation.agreement import agreed, frequency_agreement, trend_z
from afml.evaluation.attacks import KNOWING, Case, Knowledge, baseline_suite, full_suite, reference_profiles
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.attributes import tells
from afml.evaluation.baselines import Comparands, Comparison, Family, UnderTest, as_level, compare
from afml.evaluation.baselines.binned import risk_score
from afml.evaluation.details import (
    Details,
    GenotypeDetails,
    PhenotypeDetails,
    genotype_details,
    phenotype_details,
    population_details,
    trait_details,
)
from afml.evaluation.disclosure import GenotypeInference, chosen_sites, homogeneities, judge, measured
from afml.evaluation.harder import harder
from afml.evaluation.headline import Declared, Headline, Measured, declared, measure
from afml.evaluation.inputs import EvaluationInputs, OtherRelease, stacked, taken
from afml.evaluation.known import known_traits
from afml.evaluation.limits import chosen
from afml.evaluation.population import Population, rr_by_population
from afml.evaluation.report import (
    AttributeRow,
    BaselineRow,
    FrontierPoint,
    KnownTraits,
    ReleaseSection,
    Samples,
    samples,
)
from afml.evaluation.rr import Patterns, ReIdentification, attack_all, describe
from afml.evaluation.utility import reached_freely

Note = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """What goes into report.json, the plot and details.json.

    Where a release serves several phenotypes, `release` and the baselines are about the one it serves worst among
    those that raw genotypes predict, and `details` holds all. They are about quantitative traits only where there is
    no such binary one: the ratio of two AUCs, which begin at 0.5, cannot be compared with that of two R^2.
    """

    release: ReleaseSection
    baselines: tuple[BaselineRow, ...]
    rr_reduction_vs_random: float
    frontier: tuple[FrontierPoint, ...]
    details: Details
    sampled: Samples | None = None
    attributes: tuple[AttributeRow, ...] = ()


def evaluate(inputs: EvaluationInputs, progress: Note = lambda _: None) -> Evaluation:
    """Attack a release, measure its utility and match the baselines to it.

    Args:
        inputs: Raw and released people of every institution, and what is public.
        progress: Told what is running.

    Raises:
        InputError: Shapes do not match, or training or held-out people hold no cases or no controls.
    """
    progress("reference profiles")
    files, limits = inputs.institutions, inputs.limits
    dosage = stacked([one.dosage for one in files])
    asked = declared(files)
    case = attacked(inputs, dosage)
    attacks = full_suite(inputs.seed) if inputs.train_identifier else baseline_suite(inputs.seed)
    if case.traits is not None:
        attacks = (*attacks, *(KNOWING.get(name).seeded(inputs.seed) for name in KNOWING.names()))
    institution = np.repeat(np.arange(len(files)), [len(one.dosage) for one in files])
    linked = attack_all(case, attacks, institution, lambda name: progress(f"attack: {name}"), limits.attacks)
    progress("utility")
    some = chosen(len(dosage), limits.utility_people, inputs.seed, 0x75)
    headline = measure(inputs, asked.of(some), dosage[some], case.released[some])
    shape = describe([one.released for one in files], inputs.fill)
    if len(headline.measured) > 1:
        weights, people = np.atleast_2d(inputs.risk_weights), dosage[some]
        scores = np.stack([risk_score(people, inputs.panel, own) for own in weights], axis=1)
        headline = headline.beside(reached_freely(scores, asked.of(some).all, shape.patterns))
    release = _section(inputs, linked, headline.worst, shape, known_traits(case, linked))
    found = Parts(asked, headline, release, linked)
    compared = _compared(inputs, case, found, dosage, progress)
    details = _details(inputs, case, dosage, found, progress)
    own = FrontierPoint(name="AFML release", level="", rr=release.rr_by_genotypes, utility_ratio=compared.own)
    sampled = samples(inputs.limits, len(dosage), linked.records)
    points = (own, *compared.frontier)
    attributes = _attributes(inputs, asked, case, dosage, progress)
    return Evaluation(release, compared.rows, compared.rr_reduction_vs_random, points, details, sampled, attributes)


def _attributes(
    inputs: EvaluationInputs, asked: Declared, case: Case, dosage: Int8, progress: Note
) -> tuple[AttributeRow, ...]:
    rows = chosen(len(dosage), inputs.limits.baseline_people, inputs.seed, 0xA7)
    found = []
    for known in (one.of(rows) for one in inputs.attributes):
        if known.allowed and not known.askable(asked.training[rows]):
            continue  # declared by the run, whoever its people are
        progress(f"attribute: {known.name}")
        found.append(tells(known, asked.training[rows], case.released[rows], dosage[rows], inputs.told))
    return tuple(found)


def attacked(inputs: EvaluationInputs, dosage: Int8) -> Case:
    """The released people under attack by somebody who has genotyped all of them again, with errors.

    Args:
        inputs: The release.
        dosage: int8[n, S], raw, over all institutions.
    """
    error = inputs.genotype_error
    knowledge = Knowledge(inputs.panel, inputs.mask, inputs.fill, error, reference_missing=error)
    references = reference_profiles(
        dosage,
        knowledge.frequencies,
        error=error,
        missing=error,
        rng=np.random.default_rng([inputs.seed, 0xEF]),
    )
    released = stacked([one.released for one in inputs.institutions])
    told = [one.told for one in inputs.institutions if one.told is not None]
    traits = np.concatenate(told) if told else None
    return Case(released, references, np.arange(len(dosage)), knowledge, traits=traits)


def _section(
    inputs: EvaluationInputs, linked: ReIdentification, about: Measured, shape: Patterns, traits: KnownTraits | None
) -> ReleaseSection:
    outcome, utility, home = about.outcome, about.utility, linked.known_institution
    return ReleaseSection(
        rr=linked.rr,
        rr_ci95=linked.ci95,
        rr_by_attack=dict(linked.by_attack),
        rr_known_institution=linked.rr if home is None else home.rr,
        rr_known_institution_ci95=linked.ci95 if home is None else home.ci95,
        chance_known_institution=linked.chance if home is None else home.chance,
        candidates=linked.candidates,
        chance=linked.chance,
        utility_measure="reconstruction" if outcome.reconstructs else "r2" if outcome.quantitative else "auc",
        utility_phenotype=None if outcome.reconstructs else about.name or None,
        utility_comparable=utility.comparable,
        utility_auc=utility.auc,
        raw_auc=utility.raw_auc,
        utility_ratio=utility.ratio,
        utility_ratio_ci95=utility.ratio_ci95 if utility.comparable else None,
        utility_ratio_chance_corrected=utility.chance_corrected,
        utility_ratio_vs_best_raw=utility.versus_best_raw,
        min_group_size=shape.smallest_group if inputs.grouped else None,
        patterns=shape.patterns,
        entropy_bits=shape.entropy_bits,
        retained_fraction=shape.retained_fraction,
        known_traits=traits,
    )


@dataclass(frozen=True, eq=False)
class Parts:
    """What was found first: what is asked, how well it is served, and how well records are linked."""

    asked: Declared
    headline: Headline
    release: ReleaseSection
    linked: ReIdentification


def _compared(inputs: EvaluationInputs, case: Case, found: Parts, dosage: Int8, progress: Note) -> Comparison:
    """The baselines, beside the release on the same people: all of them, or a sample."""
    release, headline = found.release, found.headline
    rows = chosen(len(dosage), inputs.limits.baseline_people, inputs.seed, 0xBA)
    if not isinstance(rows, slice):
        headline = headline.on(inputs, found.asked.of(rows), dosage[rows], case.released[rows])
    about = headline.worst
    comparands = Comparands(
        dosage[rows],
        case.references,
        about.outcome,
        about.utility.raw_auc,
        inputs.panel,
        inputs.fill,
        inputs.genotype_error,
        inputs.seed,
        files=tuple(len(one.dosage) for one in inputs.institutions),
        min_group_size=release.min_group_size or 1,
        phenotypes=headline.phenotypes,
        rows=rows,
        everybody=dosage,
        most=inputs.limits.baselines,
    )
    return compare(
        comparands,
        UnderTest(about.utility.auc, release.rr_by_genotypes, release.retained_fraction),
        weights=headline.rows(inputs.risk_weights),
        others=[_family(comparands, other, inputs) for other in inputs.others],
        attacks=baseline_suite(inputs.seed),
        note=lambda name: progress(f"baseline: {name}"),
    )


def _family(comparands: Comparands, other: OtherRelease, inputs: EvaluationInputs) -> Family:
    files = other.released
    records = other.mask(comparands.dosage) if files is None else np.concatenate(taken(files, comparands.rows))
    return Family(other.name, (as_level(comparands, other.name, records, other.mask),))


def _details(inputs: EvaluationInputs, case: Case, dosage: Int8, found: Parts, progress: Note) -> Details:
    limits, knowledge = inputs.limits, case.knowledge
    progress("membership")
    members = np.arange(len(dosage))[chosen(len(dosage), limits.members, inputs.seed, 0x3E)]
    asked = case.references if len(members) == len(dosage) else case.references[members]
    judged = judge(case.released, asked, knowledge, seed=inputs.seed, people=members)
    progress("inference of a genotype")
    genotype = _inferred(inputs, case, dosage)
    progress("calibration, association scan, allele frequencies")
    numbers = [one for one in found.headline.measured if one.outcome.quantitative]
    phenotypes = _phenotypes(inputs, case, dosage, found)
    progress("more candidates")
    private = dosage[chosen(len(dosage), limits.sources, inputs.seed, 0xC1)]
    factors = within(inputs.population, len(dosage), limits.candidates)
    population = Population(np.concatenate([inputs.panel, private]), factors, inputs.seed)
    suite = (LikelihoodLinkage(), MaskerAwareLinkage())
    points = rr_by_population(case, suite, population, progress, limits.attacks)
    return Details(
        phenotypes=phenotypes,
        traits=tuple(trait_details(one.name, one.utility) for one in numbers),
        frequencies=frequency_agreement(case.released, dosage, inputs.panel),
        membership=measured(judged),
        genotype=genotype,
        population=population_details(points),
        harder=harder(inputs, case, found.linked, judged, progress),
    )


def within(factors: tuple[int, ...], people: int, candidates: int) -> tuple[int, ...]:
    """Sizes of the population, in people at hand, that stay within so many candidates; the largest there is in place
    of larger ones."""
    largest = max(1, candidates // people)
    return tuple(sorted({min(factor, largest) for factor in factors}))


def _phenotypes(inputs: EvaluationInputs, case: Case, dosage: Int8, found: Parts) -> tuple[PhenotypeDetails, ...]:
    measured = [one for one in found.headline.measured if one.calibration is not None]
    if not measured:
        return ()
    values = np.stack([one.phenotype for one in found.asked.binary], axis=1).astype(np.int8)
    shown, raw = trend_z(case.released, values), trend_z(dosage, values)
    files = [one.released for one in inputs.institutions]
    cuts = np.cumsum([len(file) for file in files])[:-1]
    groups = homogeneities(files, np.split(values, cuts))
    return tuple(
        phenotype_details(one.name, one.utility, *one.calibration, agreed(shown[k], raw[k]), groups[k])
        for k, one in enumerate(measured)
        if one.calibration is not None
    )


def _inferred(inputs: EvaluationInputs, case: Case, dosage: Int8) -> GenotypeDetails:
    knowledge = case.knowledge
    asked = np.random.default_rng([inputs.seed, 0xA5]).permutation(len(dosage))[: inputs.asked_people]
    sites = inputs.asked_sites or tuple(map(int, chosen_sites(knowledge, 12, inputs.seed)))
    attacker = GenotypeInference(knowledge, inputs.seed)
    return genotype_details(attacker.infer(sites, dosage[asked], case.references[asked], case.released[asked]))
