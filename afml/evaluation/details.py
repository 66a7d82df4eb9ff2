"""The contract of details.json: what report.json leaves out (docs/REPORT.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from afml.core.files import write_bytes
from afml.evaluation.agreement import FrequencyAgreement, ScanAgreement
from afml.evaluation.disclosure import GenotypeReport, Homogeneity, Membership
from afml.evaluation.harder import Harder
from afml.evaluation.population import PopulationPoint
from afml.evaluation.ran import Section, Share
from afml.evaluation.report import TraitRow
from afml.evaluation.utility import Calibration, Utility, share


class PhenotypeDetails(Section):
    """One binary phenotype: utility, calibration, association scan, and what its release with the file would show."""

    name: str = Field(default="", description="its column; empty where none was declared")
    auc: float = Share
    raw_auc: float = Share
    best_raw_auc: float = Share
    utility_ratio: float
    utility_ratio_chance_corrected: float
    covariates_auc: float = Field(default=0.5, ge=0, le=1, description="from covariates alone; 0.5 without any")
    comparable: bool = Field(default=True, description="whether raw genotypes predict it; else ratios say nothing")
    free_codebook_auc: float | None = Field(
        default=None, ge=0, le=1, exclude_if=lambda auc: auc is None,
        description="of the DP scores in as many cells as patterns; there where a release serves several",
    )  # fmt: skip
    calibration: Calibration
    raw_calibration: Calibration
    scan: ScanAgreement
    if_released: Homogeneity


class TraitDetails(Section):
    """One quantitative trait, on held-out people."""

    name: str = Field(default="", description="its column; empty where none was declared")
    r2: float = Share
    raw_r2: float = Share
    best_raw_r2: float | None = Field(default=None, ge=0, le=1, description="of the best tuned raw model")
    covariates_r2: float = Field(default=0.0, ge=0, le=1, description="from covariates alone; 0 without any")
    r2_ratio: float | None = Field(ge=0, description="null where not comparable")
    r2_ratio_chance_corrected: float | None = Field(default=None, description="beyond covariates; null likewise")
    comparable: bool = Field(default=True, description="whether raw genotypes predict it")
    free_codebook_r2: float | None = Field(
        default=None, ge=0, le=1, exclude_if=lambda r2: r2 is None,
        description="of the DP scores in as many cells as patterns; there where a release serves several",
    )  # fmt: skip


class SiteDetails(Section):
    """Inference of the genotype at one site."""

    site: int = Field(ge=0)
    shown: float = Share
    panel_accuracy: float = Share
    release_accuracy: float = Share
    withheld_gain: float = Field(ge=-1, le=1)
    bits: float


class GenotypeDetails(Section):
    """Inference of a genotype by an attacker who knows the record and all other genotypes."""

    people: int = Field(ge=1)
    sites: tuple[SiteDetails, ...]


class PopulationDetails(Section):
    """RR among more candidates."""

    factor: int = Field(ge=1)
    candidates: int = Field(ge=1)
    chance: float = Share
    rr: float = Share
    ci95: tuple[float, float]
    by_attack: dict[str, float]


class Chance(Section):
    """How often the audit would have refuted a mechanism with less noise, at the most."""

    noise: float = Field(gt=0, le=1, description="as a share of what is accounted")
    found: float = Share


class AuditDetails(Section):
    """The attack on training that `privacy.audited_ple_lower` of report.json is from."""

    instrument: str
    observer: str = Field(description='who attacks, after "an observer who"')
    phase: str = Field(description="whose rounds were attacked")
    rounds: int = Field(ge=1, description="attacked rounds")
    repeats: int = Field(ge=1, description="times that they were played")
    canaries: int = Field(ge=2, description="made-up people, each enrolled with probability 1/2")
    guesses: tuple[int, ...] = Field(description="plans: canaries guessed at")
    correct: tuple[int, ...] = Field(description="right guesses of each plan")
    confidence: float = Field(gt=0, lt=1, description="of the bound")
    ple_attacked: float = Field(ge=0, description="sigma: accounted for the attacked rounds")
    ple_ceiling: float = Field(ge=0, description="sigma: the bound had every guess been right")
    power: tuple[Chance, ...]


class Details(Section):
    """All of details.json."""

    phenotypes: tuple[PhenotypeDetails, ...]
    traits: tuple[TraitDetails, ...] = ()
    frequencies: FrequencyAgreement
    membership: Membership
    genotype: GenotypeDetails
    population: tuple[PopulationDetails, ...]
    harder: Harder | None = Field(default=None, description="null in results of before it was measured")
    audit: AuditDetails | None = Field(
        default=None, exclude_if=lambda audit: audit is None, description="absent where training was not attacked"
    )


def phenotype_details(
    name: str, utility: Utility, calibration: Calibration, raw: Calibration, scan: ScanAgreement, groups: Homogeneity
) -> PhenotypeDetails:
    """Put one phenotype together.

    Raises:
        ValueError: No raw model was tuned to it.
    """
    if utility.best_raw_auc is None:
        raise ValueError("a binary phenotype is compared with the best raw model")
    return PhenotypeDetails(
        name=name,
        auc=utility.auc,
        raw_auc=utility.raw_auc,
        best_raw_auc=utility.best_raw_auc,
        utility_ratio=utility.ratio,
        utility_ratio_chance_corrected=utility.chance_corrected,
        covariates_auc=utility.chance if utility.covariates_auc is None else utility.covariates_auc,
        comparable=utility.comparable,
        free_codebook_auc=utility.free,
        calibration=calibration,
        raw_calibration=raw,
        scan=scan,
        if_released=groups,
    )


def trait_details(name: str, utility: Utility) -> TraitDetails:
    """Put one trait together."""
    return TraitDetails(
        name=name,
        r2=utility.auc,
        raw_r2=utility.raw_auc,
        best_raw_r2=utility.best_raw_auc,
        covariates_r2=utility.covariates_auc or 0.0,
        r2_ratio=utility.ratio if utility.comparable else None,
        r2_ratio_chance_corrected=utility.chance_corrected if utility.comparable else None,
        comparable=utility.comparable,
        free_codebook_r2=utility.free,
    )


@dataclass(frozen=True)
class Row:
    """One phenotype or trait, as page and terminal list it.

    Attributes:
        name: Its own, or its kind and number.
        measure: Of `released` and `raw`.
        released, raw: Fixed pipeline, held-out people.
        covariates: Of covariates alone; None where they say nothing or there are none.
        ratio, corrected: `Utility.ratio` and `Utility.chance_corrected`; None where not comparable.
        free: What `ratio` is of a codebook that need not show genotypes; None likewise, and where nobody asked.
    """

    name: str
    measure: Literal["auc", "r2"]
    released: float
    raw: float
    covariates: float | None
    ratio: float | None
    corrected: float | None
    free: float | None = None


def every_phenotype(details: Details) -> tuple[Row, ...]:
    """All phenotypes and traits of a release, binary ones first."""
    binary = [
        Row(
            one.name or f"binary {number}",
            "auc",
            one.auc,
            one.raw_auc,
            None if one.covariates_auc == 0.5 else one.covariates_auc,
            one.utility_ratio if one.comparable else None,
            one.utility_ratio_chance_corrected if one.comparable else None,
            _freely(one.free_codebook_auc, one.raw_auc) if one.comparable else None,
        )
        for number, one in enumerate(details.phenotypes, 1)
    ]
    numbers = [
        Row(
            one.name or f"quantitative {number}",
            "r2",
            one.r2,
            one.raw_r2,
            one.covariates_r2 or None,
            one.r2_ratio,
            one.r2_ratio_chance_corrected,
            _freely(one.free_codebook_r2, one.raw_r2) if one.comparable else None,
        )
        for number, one in enumerate(details.traits, 1)
    ]
    return (*binary, *numbers)


def _freely(reached: float | None, raw: float) -> float | None:
    """Its ratio to raw genotypes."""
    return None if reached is None else share(reached, raw)


def trait_rows(details: Details) -> tuple[TraitRow, ...]:
    """The rows of report.json, binary phenotypes first; none of a release that serves one phenotype or no trait."""
    binary = [
        TraitRow(
            name=one.name,
            kind="binary",
            utility_ratio_vs_best_raw=share(one.auc, one.best_raw_auc),
            free_codebook_ratio=_freely(one.free_codebook_auc, one.best_raw_auc),
        )
        for one in details.phenotypes
    ]
    numbers = [
        TraitRow(
            name=one.name,
            kind="quantitative",
            r2_ratio=one.r2_ratio,
            free_codebook_ratio=_freely(one.free_codebook_r2, one.raw_r2) if one.comparable else None,
        )
        for one in details.traits
    ]
    rows = (*binary, *numbers)
    return rows if len(rows) > 1 else ()


def genotype_details(found: GenotypeReport) -> GenotypeDetails:
    """As the contract has it."""
    return GenotypeDetails(people=found.people, sites=tuple(SiteDetails(**asdict(s)) for s in found.sites))


def population_details(points: tuple[PopulationPoint, ...]) -> tuple[PopulationDetails, ...]:
    """As the contract has it."""
    return tuple(PopulationDetails(**{**vars(point), "by_attack": dict(point.by_attack)}) for point in points)


def write_details(details: Details, path: Path) -> None:
    """Write details.json, whole or not at all."""
    write_bytes(path, (details.model_dump_json(indent=2) + "\n").encode())


def read_details(path: Path) -> Details:
    """Read a details.json.

    Raises:
        InputError: It is missing or does not keep the contract; the message names the key.
    """
    return Details.load(path)
