"""The contract of report.json, key by key (docs/REPORT.md), and how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from afml.core.files import write_bytes
from afml.evaluation.limits import Limits
from afml.evaluation.ran import AboutSection, DataSection, FederationSection, PrivacySection, Section, Share


class KnownTraits(Section):
    """What somebody reaches who knows the traits that a release tells, of everybody: what releasing them costs."""

    rr: float = Share
    rr_ci95: tuple[float, float]
    chance: float = Share
    combinations: int = Field(ge=1, description="of released traits, that somebody has")
    groups: int = Field(ge=1, description="of different records together with released traits, over all files")
    rr_by_genotypes: float = Field(ge=0, le=1, description="worst attack of those that know genotypes alone")
    rr_by_genotypes_ci95: tuple[float, float] | None = Field(
        default=None, exclude_if=lambda interval: interval is None, description="absent in reports of older versions"
    )


class ReleaseSection(Section):
    """How far released records can be linked to people, and what they are good for."""

    rr: float = Share
    rr_ci95: tuple[float, float]
    rr_by_attack: dict[str, float]
    rr_known_institution: float = Share
    rr_known_institution_ci95: tuple[float, float] | None = Field(
        default=None, exclude_if=lambda interval: interval is None, description="absent in reports of older versions"
    )
    chance_known_institution: float | None = Field(
        default=None, ge=0, le=1, exclude_if=lambda chance: chance is None, description="likewise"
    )
    candidates: int = Field(ge=1)
    chance: float = Share
    utility_measure: Literal["auc", "r2", "reconstruction"] = Field(
        default="auc",
        exclude_if=lambda measure: measure == "auc",
        description="of the next two and their ratios; r2 of a quantitative trait, reconstruction without traits",
    )
    utility_phenotype: str | None = Field(
        default=None, exclude_if=lambda name: name is None, description="which phenotype utility is about, by name"
    )
    utility_comparable: bool = Field(
        default=True, exclude_if=bool, description="false where raw genotypes predict nothing: no ratio means anything"
    )
    utility_auc: float = Share
    raw_auc: float = Share
    utility_ratio: float
    utility_ratio_ci95: tuple[float, float] | None = Field(
        default=None, exclude_if=lambda interval: interval is None, description="over as many other held-out people"
    )
    utility_ratio_chance_corrected: float
    utility_ratio_vs_best_raw: float | None = Field(description="null where nothing is tuned: reconstruction")
    min_group_size: int | None = Field(ge=1)
    patterns: int = Field(ge=1)
    entropy_bits: float = Field(ge=0)
    retained_fraction: float = Share
    known_traits: KnownTraits | None = Field(
        default=None, exclude_if=lambda found: found is None, description="absent where no trait is told"
    )
    method: str = Field(default="", description="how records were released: codebook or network")
    dp: Literal[False] = False

    @property
    def rr_by_genotypes(self) -> float:
        """Of the worst attack that knows no released trait: what baselines, which tell none, are compared with."""
        return self.rr if self.known_traits is None else self.known_traits.rr_by_genotypes

    @property
    def rr_by_genotypes_ci95(self) -> tuple[float, float] | None:
        """Its 95 % interval; None where an older version left it out."""
        return self.rr_ci95 if self.known_traits is None else self.known_traits.rr_by_genotypes_ci95


class BaselineRow(Section):
    """Another way to release the same people."""

    name: str
    matched: Literal["utility", "retention"]
    rr: float = Share
    utility_ratio: float


class TraitRow(Section):
    """One of several phenotypes of a release, against raw genotypes on the same held-out people."""

    name: str
    kind: Literal["binary", "quantitative"]
    utility_ratio_vs_best_raw: float | None = Field(
        default=None, exclude_if=lambda ratio: ratio is None, description="binary: AUC / that of the best tuned model"
    )
    r2_ratio: float | None = Field(
        default=None, exclude_if=lambda ratio: ratio is None, description="quantitative; absent where not comparable"
    )
    free_codebook_ratio: float | None = Field(
        default=None,
        exclude_if=lambda ratio: ratio is None,
        description="the same ratio of the DP scores in as many cells as patterns, without genotypes",
    )


class AttributeRow(Section):
    """What records tell of a class of everybody: super-population, sex, age band; on held-out people."""

    name: str
    classes: tuple[str, ...]
    allowed: bool = Field(description="the run declares that a release may tell it")
    people: int = Field(ge=1, description="held out, of known class")
    base_rate: float = Share
    accuracy: float = Share
    accuracy_ci95: tuple[float, float]
    raw_accuracy: float = Share

    @property
    def advantage(self) -> float:
        """Accuracy from the release over that of naming the commonest class."""
        return self.accuracy - self.base_rate


class OverlapSection(Section):
    """What was done before training about people who are enrolled at two institutions (`afml overlap`)."""

    queries: int = Field(ge=1, description="runs in which they asked each other")
    found: int = Field(ge=0, description="records whose person another institution has enrolled too, and keeps")
    left_out: int = Field(ge=0, description="of these, records that are among an institution's data no more")


class Samples(Section):
    """What of a large release was looked at by a random sample, and how large it was."""

    records: int = Field(ge=1, description="records attacked, among all candidates; rr_ci95 is about these")
    utility_people: int = Field(ge=1, description="people, trained on and held out, on whom utility was measured")
    baseline_people: int = Field(ge=1, description="the same for baselines, the release beside them, and attributes")
    members: int = Field(ge=1, description="released people whose membership was asked about")
    harder_people: int = Field(ge=1, description="people whose relatives and second records were linked")


class PhenotypeSection(Section):
    """Where the phenotype comes from."""

    simulated: bool
    causal_sites: int = Field(ge=0)
    heritability: float = Share
    seed: int


class Report(Section):
    """All of report.json."""

    scope: Literal["pooled", "own"] = Field(
        default="pooled",
        exclude_if=lambda scope: scope == "pooled",
        description="own: of one institution's file alone, which it made and keeps by itself",
    )
    about: AboutSection | None = Field(
        default=None, exclude_if=lambda about: about is None, description="absent in reports of older versions"
    )
    data: DataSection
    privacy: PrivacySection
    federation: FederationSection | None = Field(description="null of an institution's own report")
    release: ReleaseSection
    baselines: tuple[BaselineRow, ...]
    rr_reduction_vs_random: float = Field(
        le=1, description="1 - rr / rr of random masking at matched utility, both by genotypes alone"
    )
    traits: tuple[TraitRow, ...] = Field(
        default=(), exclude_if=lambda rows: not rows, description="of a release that serves several"
    )
    attributes: tuple[AttributeRow, ...] = Field(
        default=(), exclude_if=lambda rows: not rows, description="classes that were declared, or asked about"
    )
    phenotype: PhenotypeSection
    overlap: OverlapSection | None = Field(
        default=None, exclude_if=lambda found: found is None, description="absent where nobody asked"
    )
    sampled: Samples | None = Field(
        default=None, exclude_if=lambda found: found is None, description="absent where everybody was looked at"
    )
    seconds: dict[str, float] = Field(description="step -> wall time, seconds")
    peak_gb: float | None = Field(
        default=None, ge=0, exclude_if=lambda gb: gb is None, description="memory of all processes at once, 10^9 bytes"
    )
    peak_gb_by_process: dict[str, float] = Field(
        default_factory=dict, exclude_if=lambda found: not found, description="of each command with what it forked"
    )
    versions: dict[str, str]


def compared_rows(report: Report) -> tuple[BaselineRow, ...]:
    """Baselines worth showing: nothing is matched on a utility that does not exist."""
    if report.release.utility_comparable:
        return report.baselines
    return tuple(row for row in report.baselines if row.matched == "retention")


def samples(limits: Limits, people: int, records: int) -> Samples | None:
    """What was looked at of so many released people; None where it was everybody.

    Args:
        limits: Of the evaluation.
        people: Released.
        records: Attacked.
    """
    parts = (records, limits.utility_people, limits.baseline_people, limits.members, limits.harder)
    if min(parts) >= people:
        return None
    names = ("records", "utility_people", "baseline_people", "members", "harder_people")
    return Samples(**{name: min(part, people) for name, part in zip(names, parts, strict=True)})


class FrontierPoint(Section):
    """One operating point of one method, for the plot of RR against utility. Not part of report.json."""

    name: str
    level: str
    rr: float = Share
    utility_ratio: float


def write_json(report: Report, path: Path) -> None:
    """Write report.json, whole or not at all."""
    write_bytes(path, (report.model_dump_json(indent=2) + "\n").encode())


def read_json(path: Path) -> Report:
    """Read a report.json.

    Raises:
        InputError: It is missing or does not keep the contract; the message names the key.
    """
    return Report.load(path)
