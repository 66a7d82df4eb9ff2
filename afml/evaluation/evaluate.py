"""One release of several institutions, evaluated: re-identification, utility, baselines.

This pools the genotypes of all institutions in one process. That is possible in the demo and in experiments
on open data only; in a consortium each node can attack its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.agreement import frequency_agreement, scan_agreement
from afml.evaluation.attacks import Case, Knowledge, baseline_suite, full_suite, reference_profiles
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.baselines import Comparands, Comparison, Family, UnderTest, as_level, compare
from afml.evaluation.details import (
    Details,
    GenotypeDetails,
    PhenotypeDetails,
    genotype_details,
    phenotype_details,
    population_details,
    trait_details,
)
from afml.evaluation.disclosure import GenotypeInference, chosen_sites, homogeneity, infer_membership
from afml.evaluation.headline import Headline, Measured, declared, measure
from afml.evaluation.inputs import EvaluationInputs, OtherRelease
from afml.evaluation.population import Population, rr_by_population
from afml.evaluation.report import BaselineRow, FrontierPoint, ReleaseSection
from afml.evaluation.rr import Patterns, ReIdentification, attack_all, describe
from afml.evaluation.utility import calibration

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


def evaluate(inputs: EvaluationInputs, progress: Note = lambda _: None) -> Evaluation:
    """Attack a release, measure its utility and match the baselines to it.

    Args:
        inputs: Raw and released people of every institution, and what is public.
        progress: Told what is running.

    Raises:
        InputError: Shapes do not match, or training or held-out people hold no cases or no controls.
    """
    progress("reference profiles")
    files = inputs.institutions
    dosage = np.concatenate([one.dosage for one in files])
    asked = declared(files)
    case = attacked(inputs, dosage)
    attacks = full_suite(inputs.seed) if inputs.train_identifier else baseline_suite(inputs.seed)
    institution = np.repeat(np.arange(len(files)), [len(one.dosage) for one in files])
    linked = attack_all(case, attacks, institution, lambda name: progress(f"attack: {name}"))
    progress("utility")
    headline = measure(inputs, asked, dosage, case.released)
    shape = describe([one.released for one in files], inputs.fill)
    release = _section(inputs, linked, headline.worst, shape)
    compared = _compared(inputs, case, headline, release, dosage, progress)
    details = _details(inputs, case, dosage, headline, progress)
    own = FrontierPoint(name="AFML release", level="", rr=release.rr, utility_ratio=release.utility_ratio)
    return Evaluation(release, compared.rows, compared.rr_reduction_vs_random, (own, *compared.frontier), details)


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
    released = np.concatenate([one.released for one in inputs.institutions])
    return Case(released, references, np.arange(len(dosage)), knowledge)


def _section(inputs: EvaluationInputs, linked: ReIdentification, about: Measured, shape: Patterns) -> ReleaseSection:
    outcome, utility = about.outcome, about.utility
    return ReleaseSection(
        rr=linked.rr,
        rr_ci95=linked.ci95,
        rr_by_attack=dict(linked.by_attack),
        rr_known_institution=linked.rr if linked.known_institution is None else linked.known_institution,
        candidates=linked.candidates,
        chance=linked.chance,
        utility_measure="reconstruction" if outcome.reconstructs else "r2" if outcome.quantitative else "auc",
        utility_phenotype=None if outcome.reconstructs else about.name or None,
        utility_comparable=utility.comparable,
        utility_auc=utility.auc,
        raw_auc=utility.raw_auc,
        utility_ratio=utility.ratio,
        utility_ratio_chance_corrected=utility.chance_corrected,
        utility_ratio_vs_best_raw=utility.versus_best_raw,
        min_group_size=shape.smallest_group if inputs.grouped else None,
        patterns=shape.patterns,
        entropy_bits=shape.entropy_bits,
        retained_fraction=shape.retained_fraction,
    )


def _compared(
    inputs: EvaluationInputs, case: Case, headline: Headline, release: ReleaseSection, dosage: Int8, progress: Note
) -> Comparison:
    about = headline.worst
    comparands = Comparands(
        dosage,
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
    )
    return compare(
        comparands,
        UnderTest(about.utility.auc, release.rr, release.retained_fraction),
        weights=headline.rows(inputs.risk_weights),
        others=[_family(comparands, other, inputs) for other in inputs.others],
        attacks=baseline_suite(inputs.seed),
        note=lambda name: progress(f"baseline: {name}"),
    )


def _family(comparands: Comparands, other: OtherRelease, inputs: EvaluationInputs) -> Family:
    records = other.released if other.released is not None else [other.mask(one.dosage) for one in inputs.institutions]
    return Family(other.name, (as_level(comparands, other.name, np.concatenate(records), other.mask),))


def _details(inputs: EvaluationInputs, case: Case, dosage: Int8, headline: Headline, progress: Note) -> Details:
    progress("membership")
    membership = infer_membership(case.released, case.references, case.knowledge, seed=inputs.seed)
    progress("inference of a genotype")
    genotype = _inferred(inputs, case, dosage)
    progress("calibration, association scan, allele frequencies")
    numbers = [one for one in headline.measured if one.outcome.quantitative]
    phenotypes = [
        _phenotype(one, inputs, dosage, case.released) for one in headline.measured if not one.outcome.quantitative
    ]
    progress("more candidates")
    population = Population(np.concatenate([inputs.panel, dosage]), inputs.population, inputs.seed)
    points = rr_by_population(case, (LikelihoodLinkage(), MaskerAwareLinkage()), population, progress)
    return Details(
        phenotypes=tuple(phenotypes),
        traits=tuple(trait_details(one.name, one.utility) for one in numbers),
        frequencies=frequency_agreement(case.released, dosage, inputs.panel),
        membership=membership,
        genotype=genotype,
        population=population_details(points),
    )


def _phenotype(one: Measured, inputs: EvaluationInputs, dosage: Int8, released: Int8) -> PhenotypeDetails:
    values: NDArray[np.int8] = one.outcome.phenotype.astype(np.int8)
    cuts = np.cumsum([len(file.dosage) for file in inputs.institutions])[:-1]
    return phenotype_details(
        one.name,
        one.utility,
        calibration(released, one.outcome),
        calibration(dosage, one.outcome),
        scan_agreement(released, dosage, values),
        homogeneity([file.released for file in inputs.institutions], np.split(values, cuts)),
    )


def _inferred(inputs: EvaluationInputs, case: Case, dosage: Int8) -> GenotypeDetails:
    knowledge = case.knowledge
    asked = np.random.default_rng([inputs.seed, 0xA5]).permutation(len(dosage))[: inputs.asked_people]
    sites = inputs.asked_sites or tuple(map(int, chosen_sites(knowledge, 12, inputs.seed)))
    attacker = GenotypeInference(knowledge, inputs.seed)
    return genotype_details(attacker.infer(sites, dosage[asked], case.references[asked], case.released[asked]))
