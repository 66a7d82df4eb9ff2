"""One release of several institutions, evaluated: re-identification, utility, baselines.

This pools the genotypes of all institutions in one process. That is possible in the demo and in experiments
on open data only; in a consortium each node can attack its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.agreement import frequency_agreement, scan_agreement
from afml.evaluation.attacks import (
    Case,
    Knowledge,
    LikelihoodLinkage,
    MaskerAwareLinkage,
    ReleaseFunction,
    baseline_suite,
    full_suite,
    reference_profiles,
)
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.baselines import Method, Study, as_level, compare
from afml.evaluation.details import (
    Details,
    GenotypeDetails,
    genotype_details,
    phenotype_details,
    population_details,
    trait_details,
)
from afml.evaluation.disclosure import GenotypeInference, chosen_sites, homogeneity, infer_membership
from afml.evaluation.population import rr_by_population
from afml.evaluation.report import BaselineRow, FrontierPoint, ReleaseSection
from afml.evaluation.rr import attack_all, describe
from afml.evaluation.utility import Outcome, Utility, calibration, outcomes, reconstruction, utility_of


@dataclass(frozen=True, eq=False)
class Institution:
    """One institution's people, rows aligned (the released file's column permutation undone).

    Attributes:
        dosage: int8[n, S], raw.
        phenotype: int8[n] in {0, 1}, or int8[n, D] for D phenotypes; D may be 0 where there are traits.
        enrolled: bool[n], took part in training; the others are held out.
        released: int8[n, S], -1 = './.'.
        traits: float64[n, Q], quantitative traits, where there are any.
        covariates: float64[n, C], known beside genotypes and never released, where there are any.
    """

    dosage: Int8
    phenotype: NDArray[np.int8]
    enrolled: NDArray[np.bool_]
    released: Int8
    traits: Float64 | None = None
    covariates: Float64 | None = None

    def __post_init__(self) -> None:
        people = len(self.dosage)
        if self.released.shape != self.dosage.shape or {len(self.phenotype), len(self.enrolled)} != {people}:
            raise InputError(
                f"{people} genotyped, {len(self.phenotype)} phenotyped, {len(self.enrolled)} listed and "
                f"{len(self.released)} released people do not match",
                cure="evaluate a release against the store it was made from",
            )


@dataclass(frozen=True, eq=False)
class OtherRelease:
    """Another release of the same people, listed among the baselines.

    Attributes:
        name: As in the table.
        mask: Its public release function.
        released: int8[n, S] per institution where it differs from `mask(dosage)` (grouped by file, say).
    """

    name: str
    mask: ReleaseFunction
    released: tuple[Int8, ...] | None = None


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """All that an evaluation needs.

    Attributes:
        institutions: In node order.
        panel: int8[p, S], the public panel.
        mask: The public release function of the release under test.
        risk_weights: float64[S], weights of the DP risk model per dosage (per standardised dosage / scale); [D, S]
            for several phenotypes, in their order, quantitative traits last.
        others: Further releases to list.
        fill: What a masked site shows.
        grouped: Whether a minimum group size was asked for; the report then holds the smallest group found.
        genotype_error: Error rate of reference profiles (and share of calls missing).
        seed: Of simulated reference profiles, random masks and the trained identifier.
        train_identifier: Whether to train the identification network against the release (ten seconds or so).
        population: Candidates over the private people, at which RR is measured again, e.g. (1, 10, 100).
        asked_people: People whose genotypes are inferred.
        asked_sites: Sites at which; None for those that the release shows most and as many others.
        names: Of the phenotypes, then of the traits; () where they have none (several are then numbered).
        components: int8[n, S] -> float64[n, components], public: what a release without any trait should keep. The
            utility is then that of `reconstruction`, and `risk_weights` are the components' loadings.
    """

    institutions: tuple[Institution, ...]
    panel: Int8
    mask: ReleaseFunction
    risk_weights: Float64
    others: tuple[OtherRelease, ...] = ()
    fill: Literal["major", "missing"] = "major"
    grouped: bool = True
    genotype_error: float = 0.01
    seed: int = 0
    train_identifier: bool = True
    population: tuple[int, ...] = (1, 10)
    asked_people: int = 400
    asked_sites: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    components: Callable[[Int8], Float64] | None = None


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


def evaluate(inputs: EvaluationInputs, progress: Callable[[str], None] = lambda _: None) -> Evaluation:
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
    released = np.concatenate([one.released for one in files])
    institution = np.repeat(np.arange(len(files)), [len(one.dosage) for one in files])
    training = np.concatenate([one.enrolled for one in files])
    binary, quantitative = _outcomes(files, training)
    error = inputs.genotype_error
    knowledge = Knowledge(inputs.panel, inputs.mask, inputs.fill, error, reference_missing=error)
    references = reference_profiles(
        dosage,
        knowledge.frequencies,
        error=error,
        missing=error,
        rng=np.random.default_rng([inputs.seed, 0xEF]),
    )
    case = Case(released, references, np.arange(len(dosage)), knowledge)
    attacks = full_suite(inputs.seed) if inputs.train_identifier else baseline_suite()
    linked = attack_all(case, attacks, institution, lambda name: progress(f"attack: {name}"))
    progress("utility")
    measured = [(one, utility_of(released, dosage, one)) for one in (*binary, *quantitative)]
    if inputs.components is not None:
        measured = [reconstruction(released, dosage, inputs.components(dosage), training)]
    names = inputs.names or _unnamed(len(binary), len(quantitative))
    compared_with = _comparable(measured, len(binary))
    headline = [measured[index] for index in compared_with]
    weights = inputs.risk_weights if inputs.risk_weights.ndim == 1 else inputs.risk_weights[compared_with]
    worst = min(compared_with, key=lambda index: measured[index][1].served)
    outcome, utility = measured[worst]
    shape = describe([one.released for one in files], inputs.fill)
    release = ReleaseSection(
        rr=linked.rr,
        rr_ci95=linked.ci95,
        rr_by_attack=dict(linked.by_attack),
        rr_known_institution=linked.rr if linked.known_institution is None else linked.known_institution,
        candidates=linked.candidates,
        chance=linked.chance,
        utility_measure="reconstruction" if outcome.reconstructs else "r2" if outcome.quantitative else "auc",
        utility_phenotype=None if outcome.reconstructs else names[worst] or None,
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
    study = Study(
        dosage,
        references,
        outcome,
        utility.raw_auc,
        inputs.panel,
        inputs.fill,
        inputs.genotype_error,
        inputs.seed,
        files=tuple(len(one.dosage) for one in files),
        min_group_size=shape.smallest_group if inputs.grouped else 1,
        phenotypes=tuple((one, found.raw_auc) for one, found in headline),
    )
    compared = compare(
        study,
        auc=utility.auc,
        rr=release.rr,
        retained=shape.retained_fraction,
        weights=weights,
        methods=[_method(study, other, files) for other in inputs.others],
        attacks=baseline_suite(),
        note=lambda name: progress(f"baseline: {name}"),
    )
    details = _details(inputs, case, dosage, names, measured, progress)
    own = FrontierPoint(name="AFML release", level="", rr=release.rr, utility_ratio=release.utility_ratio)
    return Evaluation(release, compared.rows, compared.rr_reduction_vs_random, (own, *compared.frontier), details)


def _details(
    inputs: EvaluationInputs,
    case: Case,
    dosage: Int8,
    names: tuple[str, ...],
    measured: list[tuple[Outcome, Utility]],
    progress: Callable[[str], None],
) -> Details:
    files, released = inputs.institutions, case.released
    cuts = np.cumsum([len(one.dosage) for one in files])[:-1]
    progress("membership")
    membership = infer_membership(released, case.references, case.knowledge, seed=inputs.seed)
    progress("inference of a genotype")
    genotype = _inferred(inputs, case, dosage)
    progress("calibration, association scan, allele frequencies")
    phenotypes = tuple(
        phenotype_details(
            name,
            utility,
            calibration(released, outcome),
            calibration(dosage, outcome),
            scan_agreement(released, dosage, outcome.phenotype.astype(np.int8)),
            homogeneity([one.released for one in files], np.split(outcome.phenotype.astype(np.int8), cuts)),
        )
        for name, (outcome, utility) in zip(names, measured, strict=True)
        if not outcome.quantitative
    )
    traits = tuple(
        trait_details(name, utility)
        for name, (outcome, utility) in zip(names, measured, strict=True)
        if outcome.quantitative
    )
    progress("more candidates")
    points = rr_by_population(
        case,
        (LikelihoodLinkage(), MaskerAwareLinkage()),
        np.concatenate([inputs.panel, dosage]),
        factors=inputs.population,
        seed=inputs.seed,
        note=progress,
    )
    return Details(
        phenotypes=phenotypes,
        traits=traits,
        frequencies=frequency_agreement(released, dosage, inputs.panel),
        membership=membership,
        genotype=genotype,
        population=population_details(points),
    )


def _unnamed(binary: int, quantitative: int) -> tuple[str, ...]:
    """Names of phenotypes that have none; a single one needs none."""
    if binary + quantitative < 2:
        return ("",)
    kinds = (("binary", binary), ("quantitative", quantitative))
    return tuple(f"{kind} {number + 1}" for kind, count in kinds for number in range(count))


def _comparable(measured: list[tuple[Outcome, Utility]], binary: int) -> list[int]:
    """Which outcomes the headline and the baselines are about.

    The binary ones that raw genotypes predict, else the quantitative ones, else (nothing can be compared) the first.
    """
    found = [index for index, (_, utility) in enumerate(measured) if utility.comparable]
    return [index for index in found if index < binary] or found or [0]


def _outcomes(
    files: tuple[Institution, ...], training: NDArray[np.bool_]
) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    """Binary phenotypes, and quantitative traits, over all institutions."""
    traits = _columns([one.traits for one in files], "quantitative traits")
    covariates = _columns([one.covariates for one in files], "covariates")
    binary = outcomes(np.concatenate([one.phenotype for one in files]), training, covariates)
    return binary, () if traits is None else outcomes(traits, training, covariates)


def _columns(given: list[Float64 | None], what: str) -> Float64 | None:
    """One array over all institutions, [people, columns]; None where nobody holds any.

    Raises:
        InputError: Some do and some do not.
    """
    present = [values.reshape(len(values), -1) for values in given if values is not None]
    if present and len(present) != len(given):
        raise InputError(f"some institutions hold {what} and some do not", cure="give them for all")
    return np.concatenate(present) if present else None


def _inferred(inputs: EvaluationInputs, case: Case, dosage: Int8) -> GenotypeDetails:
    knowledge = case.knowledge
    asked = np.random.default_rng([inputs.seed, 0xA5]).permutation(len(dosage))[: inputs.asked_people]
    sites = inputs.asked_sites or tuple(map(int, chosen_sites(knowledge, 12, inputs.seed)))
    attacker = GenotypeInference(knowledge, inputs.seed)
    return genotype_details(attacker.infer(sites, dosage[asked], case.references[asked], case.released[asked]))


def _method(study: Study, other: OtherRelease, files: tuple[Institution, ...]) -> Method:
    records = other.released if other.released is not None else [other.mask(one.dosage) for one in files]
    return Method(other.name, (as_level(study, other.name, np.concatenate(records), other.mask),))
