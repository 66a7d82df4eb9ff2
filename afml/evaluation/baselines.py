"""Other ways to release the same people, at matched utility and at matched retention.

A lower re-identification rate means nothing by itself: masking everything has the lowest. Each baseline is
a family of levels from little to much information. *Matched on utility*: the first level whose held-out AUC
reaches that of the release under test; where no level does, the level of the highest AUC. *Matched on
retention*: the level that shows as large a share of genotypes as the release under test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks import Attack, Case, Knowledge, LikelihoodLinkage, ReleaseFunction
from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.report import BaselineRow, FrontierPoint
from afml.evaluation.rr import attack_all, retained_fraction
from afml.evaluation.utility import Outcome, released_auc, score_auc

RANDOM = "random masking"
STATIC = "static top sites"
BINNED = "binned risk score"
RESPONSE = "randomised response"
GROUPED_STATIC = "static top sites, grouped"
GROUPED_RANDOM = "random masking, grouped"
KEEP_RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
TOP_SITES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40)
BINS = (2, 3, 4, 6, 8, 10, 16, 24)
EPSILONS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True, eq=False)
class Study:
    """The people that every method releases, and what attacks and utility need of them.

    Attributes:
        dosage: int8[n, S], raw.
        references: int8[n, S], an independent genotyping of the same people: the candidates.
        outcome: Phenotype and split.
        raw_auc: Held-out AUC of the fixed pipeline on `dosage`.
        panel: int8[p, S], public.
        fill: What a masked site shows.
        genotype_error: Error rate of the references.
        seed: Of random masks.
        files: People per released file, in the order of rows; () where nobody asked.
        min_group_size: k of the release under test; 1 for none. Static and random masks are then also listed
            with every pattern merged or masked until k people of each file share it.
    """

    dosage: Int8
    references: Int8
    outcome: Outcome
    raw_auc: float
    panel: Int8
    fill: Literal["major", "missing"]
    genotype_error: float
    seed: int
    files: tuple[int, ...] = ()
    min_group_size: int = 1

    def case(self, released: Int8, mask: ReleaseFunction) -> Case:
        """The attack on `released`, whose public release function is `mask`."""
        knowledge = Knowledge(self.panel, mask, self.fill, self.genotype_error)
        return Case(released, self.references, np.arange(len(released)), knowledge)

    @property
    def masked_value(self) -> int:
        """What a masked site shows."""
        return MASKED if self.fill == "missing" else 0


@dataclass(frozen=True, eq=False)
class Level:
    """One operating point of a method.

    Attributes:
        label: For people.
        auc: Held-out AUC of the fixed pipeline.
        rr: Computes the re-identification rate under the given attacks.
    """

    label: str
    auc: float
    rr: Callable[[Sequence[Attack]], float]


@dataclass(frozen=True, eq=False)
class Method:
    """A family of levels, from little to much information."""

    name: str
    levels: tuple[Level, ...]

    def reaching(self, auc: float) -> Level:
        """The first level with at least this AUC, else the (first) level of the highest AUC."""
        for level in self.levels:
            if level.auc >= auc:
                return level
        return max(self.levels, key=lambda level: level.auc)


def as_level(study: Study, label: str, released: Int8, mask: ReleaseFunction, auc: float | None = None) -> Level:
    """A level made of released records and the public function that made them."""
    return Level(
        label,
        released_auc(released, study.outcome) if auc is None else auc,
        lambda attacks: attack_all(study.case(released, mask), attacks).rr,
    )


def random_mask(rate: float, value: int, *seed: int) -> ReleaseFunction:
    """Keep each genotype of each person with probability `rate`; the others show `value`."""

    def mask(dosage: Int8) -> Int8:
        rng = np.random.default_rng([*seed, len(dosage)])
        return np.where(rng.random(dosage.shape) < rate, dosage, value).astype(np.int8)

    return mask


def random_level(study: Study, rate: float, draws: int = 3) -> Level:
    """Random masking at one rate. Its AUC is the mean over `draws` masks; the attack sees the first."""
    value = study.masked_value
    released = [random_mask(rate, value, study.seed, 1, draw)(study.dosage) for draw in range(draws if rate < 1 else 1)]
    auc = float(np.mean([released_auc(one, study.outcome) for one in released]))
    # The attacker knows the rate, not the masks: theirs come from another seed.
    return as_level(study, f"keep {rate:.3g}", released[0], random_mask(rate, value, study.seed, 2), auc)


def random_masking(study: Study) -> Method:
    """Random masking from 0.05 % of the genotypes to all."""
    return Method(RANDOM, tuple(random_level(study, rate) for rate in KEEP_RATES))


def static_mask(sites: NDArray[np.int64], value: int) -> ReleaseFunction:
    """Keep the same sites of everybody; the others show `value`."""

    def mask(dosage: Int8) -> Int8:
        released = np.full_like(dosage, value)
        released[:, sites] = dosage[:, sites]
        return released

    return mask


def ranked_sites(panel: Int8, weights: Float64) -> NDArray[np.int64]:
    """Sites that carry weight, largest |weight| * standard deviation of dosage on the panel first."""
    called = np.ma.masked_less(panel, 0)
    importance = np.abs(weights) * np.asarray(called.std(axis=0).filled(0.0))
    order = np.argsort(-importance, kind="stable")
    return np.asarray(order[importance[order] > 0], dtype=np.int64)


def static_level(study: Study, weights: Float64, count: int) -> Level:
    """The `count` top sites of the risk model, the same for everybody."""
    mask = static_mask(ranked_sites(study.panel, weights)[:count], study.masked_value)
    return as_level(study, f"{count} sites", mask(study.dosage), mask)


def static_sites(study: Study, weights: Float64) -> Method:
    """Static top-m sites of the risk model, m = 1 ... 40."""
    usable = int((weights != 0).sum())
    counts = sorted({min(m, max(usable, 1)) for m in TOP_SITES})
    return Method(STATIC, tuple(static_level(study, weights, m) for m in counts))


def sensitive_mask(sites: NDArray[np.int64], value: int) -> ReleaseFunction:
    """Hide a list of known sensitive sites (from a BED or VCF, say) of everybody and release all others."""

    def mask(dosage: Int8) -> Int8:
        released = dosage.copy()
        released[:, sites] = value
        return released

    return mask


def randomised_response(epsilon: float, *seed: int) -> ReleaseFunction:
    """Report each genotype truly with probability e^eps / (e^eps + 2), else one of the two others (Warner 1965).

    epsilon-DP for one genotype; a record of S genotypes is S * epsilon-DP. Missing calls stay missing.
    """

    def mask(dosage: Int8) -> Int8:
        rng = np.random.default_rng([*seed, len(dosage)])
        lie = rng.random(dosage.shape) >= np.exp(epsilon) / (np.exp(epsilon) + 2)
        other = (dosage + rng.integers(1, 3, size=dosage.shape, dtype=np.int8)) % 3
        return np.where(lie & (dosage >= 0), other, dosage).astype(np.int8)

    return mask


def response_levels(study: Study) -> Method:
    """Randomised response on every genotype, epsilon per genotype from 0.1 to 8."""

    def level(epsilon: float) -> Level:
        released = randomised_response(epsilon, study.seed, 3)(study.dosage)
        return as_level(study, f"epsilon {epsilon:g}", released, randomised_response(epsilon, study.seed, 4))

    return Method(RESPONSE, tuple(level(epsilon) for epsilon in EPSILONS))


def mask_rare(records: Int8, size: int, value: int) -> Int8:
    """Mask whole records until every pattern of one file is shared by at least `size` of its records.

    Where too few people show nothing, the smallest group joins them. A file of fewer than `size` people shows
    nothing at all.
    """
    out = records.copy()
    while True:
        patterns, group, counts = np.unique(out, axis=0, return_inverse=True, return_counts=True)
        empty = (patterns == value).all(axis=1)
        small = (counts < size) & ~empty
        if not small.any():
            if not (empty & (counts < size)).any() or empty.all():
                return out
            small = ~empty & (counts == counts[~empty].min())
        out[small[group.reshape(-1)]] = value


def merge_prefixes(records: Int8, sites: NDArray[np.int64], size: int, value: int) -> Int8:
    """Group one file of static records: each shows the longest prefix of `sites` that `size` people share.

    The k-anonymity of a prefix tree: whoever shares too rare a pattern gives up the last, least useful site.
    """
    out = np.full_like(records, value)
    left = np.arange(len(records))
    for depth in range(len(sites), 0, -1):
        shown = records[np.ix_(left, sites[:depth])]
        _, group, counts = np.unique(shown, axis=0, return_inverse=True, return_counts=True)
        large = counts[group.reshape(-1)] >= size
        out[np.ix_(left[large], sites[:depth])] = shown[large]
        left = left[~large]
        if not len(left):
            break
    return mask_rare(out, size, value)


def grouped_level(study: Study, level: str, mask: ReleaseFunction, merge: Callable[[Int8, int], Int8]) -> Level:
    """A level whose files are merged into groups of the study's minimum size.

    The attacker knows how records are merged and merges the references (and the panel) as one file, at the
    same share of its people.
    """
    k, share = study.min_group_size, study.min_group_size * len(study.files) / len(study.dosage)
    files = np.split(mask(study.dosage), np.cumsum(study.files)[:-1])
    released = np.concatenate([merge(file, k) for file in files])
    return as_level(study, level, released, lambda dosage: merge(mask(dosage), max(1, round(share * len(dosage)))))


def grouped_methods(study: Study, weights: Float64) -> tuple[Method, ...]:
    """Static top sites and random masks in groups of the release's size; none where no grouping was asked for."""
    if study.min_group_size <= 1 or not study.files:
        return ()
    value, order = study.masked_value, ranked_sites(study.panel, weights)

    def static(count: int) -> Level:
        sites = order[:count]
        return grouped_level(
            study,
            f"{count} sites",
            static_mask(sites, value),
            lambda file, size: merge_prefixes(file, sites, size, value),
        )

    def random(rate: float) -> Level:
        mask = random_mask(rate, value, study.seed, 1, 0)
        return grouped_level(study, f"keep {rate:.3g}", mask, lambda file, size: mask_rare(file, size, value))

    counts = sorted({min(m, max(len(order), 1)) for m in TOP_SITES})
    return (
        Method(GROUPED_STATIC, tuple(static(count) for count in counts)),
        Method(GROUPED_RANDOM, tuple(random(rate) for rate in KEEP_RATES)),
    )


def risk_score(dosage: Int8, panel: Int8, weights: Float64) -> Float64:
    """float64[n]: dosage @ weights, missing calls at the panel mean."""
    mean = np.asarray(np.ma.masked_less(panel, 0).mean(axis=0).filled(0.0))
    return np.asarray(np.where(dosage < 0, mean, dosage) @ weights)


def binned_score(study: Study, weights: Float64) -> Method:
    """The risk score in panel-quantile bins: not a VCF, but the information limit that masks should approach.

    Attack: the same score of each candidate's reference profile; the candidates in the nearest bin, ties
    split.
    """
    panel_score = risk_score(study.panel, study.panel, weights)

    def level(bins: int) -> Level:
        edges = np.unique(np.quantile(panel_score, np.arange(1, bins) / bins))
        shown = np.searchsorted(edges, risk_score(study.dosage, study.panel, weights)).astype(np.int64)
        expected = np.searchsorted(edges, risk_score(study.references, study.panel, weights)).astype(np.int64)

        def rr(_: Sequence[Attack]) -> float:
            apart = np.abs(np.arange(len(edges) + 1)[:, None] - expected)  # [bins, candidates]
            nearest = apart == apart.min(axis=1, keepdims=True)
            right = nearest[shown, np.arange(len(shown))]
            return float((right / nearest.sum(axis=1)[shown]).mean())

        return Level(f"{bins} bins", score_auc(shown.astype(np.float64), study.outcome), rr)

    return Method(BINNED, tuple(level(bins) for bins in BINS))


@dataclass(frozen=True)
class Comparison:
    """Baselines against one release.

    Attributes:
        rows: For report.json.
        frontier: Every level, RR by likelihood linkage where a method has many levels.
        rr_reduction_vs_random: 1 - rr / rr of random masking at matched utility.
    """

    rows: tuple[BaselineRow, ...]
    frontier: tuple[FrontierPoint, ...]
    rr_reduction_vs_random: float


def compare(
    study: Study,
    *,
    auc: float,
    rr: float,
    retained: float,
    weights: Float64,
    methods: Sequence[Method],
    attacks: Sequence[Attack],
    note: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Match every baseline to a release.

    Args:
        study: The people.
        auc: Held-out AUC of the release.
        rr: Its re-identification rate.
        retained: Its retained fraction.
        weights: float64[S], the DP risk model's weights per dosage.
        methods: Further releases to list, matched on utility.
        attacks: Run on every row of the table.
        note: Told what is running.
    """
    note("random masking")
    random = random_masking(study)
    note("static top sites and binned score")
    families = (
        random,
        static_sites(study, weights),
        binned_score(study, weights),
        response_levels(study),
        *grouped_methods(study, weights),
        *methods,
    )
    rows: list[BaselineRow] = []
    frontier: list[FrontierPoint] = []
    # On random masks and on static sites likelihood linkage is the strongest attack; the plot uses it alone.
    quick: Sequence[Attack] = (LikelihoodLinkage(),)

    def row(name: str, matched: Literal["utility", "retention"], level: Level) -> BaselineRow:
        return BaselineRow(name=name, matched=matched, rr=level.rr(attacks), utility_ratio=level.auc / study.raw_auc)

    def points(method: Method) -> Iterable[FrontierPoint]:
        for level in method.levels:
            ratio = level.auc / study.raw_auc
            yield FrontierPoint(name=method.name, level=level.label, rr=level.rr(quick), utility_ratio=ratio)

    for method in families:
        note(method.name)
        rows.append(row(method.name, "utility", method.reaching(auc)))
        if len(method.levels) > 1:
            frontier.extend(points(method))
        else:
            only = rows[-1]
            label = method.levels[0].label
            frontier.append(FrontierPoint(name=only.name, level=label, rr=only.rr, utility_ratio=only.utility_ratio))
    note("matched retention")
    shown_raw = retained_fraction(study.dosage, study.fill)
    rate = min(1.0, retained / shown_raw) if shown_raw else 1.0
    rows.append(row(RANDOM, "retention", random_level(study, rate)))
    order = ranked_sites(study.panel, weights)
    shown = np.cumsum([retained_fraction(study.dosage[:, [s]], study.fill) for s in order[: max(TOP_SITES)]])
    count = 1 + int(np.abs(shown / study.dosage.shape[1] - retained).argmin()) if len(order) else 1
    rows.append(row(STATIC, "retention", static_level(study, weights, count)))
    rr_random = rows[0].rr
    reduction = 1 - rr / rr_random if rr_random > 0 else 0.0
    return Comparison(tuple(rows), tuple(frontier), reduction)
