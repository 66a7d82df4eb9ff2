"""Other ways to release the same people, at matched utility and at matched retention.

A lower re-identification rate means nothing by itself: masking everything has the lowest. Each baseline is
a family of levels from little to much information. *Matched on utility*: the first level whose held-out AUC
reaches that of the release under test; where no level does, the level of the highest AUC. *Matched on
retention*: the level that shows as large a share of genotypes as the release under test.

With several phenotypes in one release, what a level is worth is what it is worth for the phenotype that it serves
worst: the lowest ratio of AUC to raw AUC, both counted from what covariates reach alone where there are any. Every
method is judged at its own worst, as the release is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks import Attack, Case, Knowledge, LikelihoodLinkage, ReleaseFunction
from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.masks import mask_rare, merge_prefixes, random_mask, randomised_response, static_mask
from afml.evaluation.report import BaselineRow, FrontierPoint
from afml.evaluation.rr import attack_all, retained_fraction
from afml.evaluation.utility import Outcome, origin, released_auc, score_auc, share

RANDOM = "random masking"
STATIC = "static top sites"
BINNED = "binned risk score"
#: The same where a run keeps components and learns no risk.
BINNED_COMPONENT = "binned first component"
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
        outcome: Phenotype and split; of several, the one that the release under test serves worst.
        raw_auc: Held-out AUC of the fixed pipeline on `dosage`.
        panel: int8[p, S], public.
        fill: What a masked site shows.
        genotype_error: Error rate of the references.
        seed: Of random masks.
        files: People per released file, in the order of rows; () where nobody asked.
        min_group_size: k of the release under test; 1 for none. Static and random masks are then also listed
            with every pattern merged or masked until k people of each file share it.
        phenotypes: (outcome, raw AUC) of all phenotypes compared, in the order of the risk weights; () where there is
            one.
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
    phenotypes: tuple[tuple[Outcome, float], ...] = ()

    @property
    def declared(self) -> tuple[tuple[Outcome, float], ...]:
        """(outcome, raw AUC) of every phenotype."""
        return self.phenotypes or ((self.outcome, self.raw_auc),)

    def aucs(self, released: Int8) -> Float64:
        """float64[D], held-out AUC of the fixed pipeline on released records for every phenotype."""
        return np.array([released_auc(released, outcome) for outcome, _ in self.declared])

    @cached_property
    def _origins(self) -> tuple[float, ...]:
        """`origin` of `outcome`, then of every phenotype."""
        return tuple(origin(one) for one in (self.outcome, *(one for one, _ in self.declared)))

    def worth(self, aucs: Float64) -> float:
        """What AUCs for every phenotype are worth, as an AUC of `outcome`.

        The lowest share of what raw genotypes reach, counted from `origin`, and that share of `raw_auc`.
        """
        if len(self.declared) == 1:
            return float(aucs[0])
        own, *others = self._origins
        each = zip(aucs, self.declared, others, strict=True)
        return own + (self.raw_auc - own) * min(share(float(auc) - zero, raw - zero) for auc, (_, raw), zero in each)

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
        auc: Held-out AUC of the fixed pipeline; of several phenotypes, `Study.worth`.
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
        study.worth(study.aucs(released)) if auc is None else auc,
        lambda attacks: attack_all(study.case(released, mask), attacks).rr,
    )


def random_level(study: Study, rate: float, draws: int = 3) -> Level:
    """Random masking at one rate. Its AUC is the mean over `draws` masks; the attack sees the first."""
    value = study.masked_value
    released = [random_mask(rate, value, study.seed, 1, draw)(study.dosage) for draw in range(draws if rate < 1 else 1)]
    auc = study.worth(np.array([study.aucs(one) for one in released]).T.copy().mean(axis=1))
    # The attacker knows the rate, not the masks: theirs come from another seed.
    return as_level(study, f"keep {rate:.3g}", released[0], random_mask(rate, value, study.seed, 2), auc)


def random_masking(study: Study) -> Method:
    """Random masking from 0.05 % of the genotypes to all."""
    return Method(RANDOM, tuple(random_level(study, rate) for rate in KEEP_RATES))


def ranked_sites(panel: Int8, weights: Float64) -> NDArray[np.int64]:
    """Sites that carry weight, largest |weight| * standard deviation of dosage on the panel first.

    With several phenotypes (weights float64[D, S]) the first site of each, then the second of each, and so on: the
    first D * m are the union of the top m of each, but for sites that several share.
    """
    called = np.ma.masked_less(panel, 0)
    spread = np.asarray(called.std(axis=0).filled(0.0))
    ranked: dict[tuple[int, int], int] = {}
    for phenotype, own in enumerate(np.atleast_2d(weights)):
        importance = np.abs(own) * spread
        order = np.argsort(-importance, kind="stable")
        ranked |= {(rank, phenotype): int(site) for rank, site in enumerate(order[importance[order] > 0])}
    return np.array(list(dict.fromkeys(ranked[place] for place in sorted(ranked))), dtype=np.int64)


def _counts(weights: Float64, usable: int) -> list[int]:
    """Numbers of sites to release: `TOP_SITES` for every phenotype, as far as there are any."""
    return sorted({min(m * len(np.atleast_2d(weights)), max(usable, 1)) for m in TOP_SITES})


def static_level(study: Study, weights: Float64, count: int) -> Level:
    """The `count` top sites of the risk model, the same for everybody."""
    mask = static_mask(ranked_sites(study.panel, weights)[:count], study.masked_value)
    return as_level(study, f"{count} sites", mask(study.dosage), mask)


def static_sites(study: Study, weights: Float64) -> Method:
    """Static top-m sites of the risk model, m = 1 ... 40 for each phenotype."""
    usable = int((np.atleast_2d(weights) != 0).any(axis=0).sum())
    return Method(STATIC, tuple(static_level(study, weights, m) for m in _counts(weights, usable)))


def response_levels(study: Study) -> Method:
    """Randomised response on every genotype, epsilon per genotype from 0.1 to 8."""

    def level(epsilon: float) -> Level:
        released = randomised_response(epsilon, study.seed, 3)(study.dosage)
        return as_level(study, f"epsilon {epsilon:g}", released, randomised_response(epsilon, study.seed, 4))

    return Method(RESPONSE, tuple(level(epsilon) for epsilon in EPSILONS))


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

    return (
        Method(GROUPED_STATIC, tuple(static(count) for count in _counts(weights, len(order)))),
        Method(GROUPED_RANDOM, tuple(random(rate) for rate in KEEP_RATES)),
    )


def risk_score(dosage: Int8, panel: Int8, weights: Float64) -> Float64:
    """float64[n]: dosage @ weights, missing calls at the panel mean."""
    mean = np.asarray(np.ma.masked_less(panel, 0).mean(axis=0).filled(0.0))
    return np.asarray(np.where(dosage < 0, mean, dosage) @ weights)


def binned_score(study: Study, weights: Float64) -> Method:
    """The risk score in panel-quantile bins: not a VCF, but the information limit that masks should approach.

    Of a run without traits it is the score of the first component.

    With several phenotypes the score of each has its own bins, all of them are shown, and each phenotype is
    predicted from its own.

    Attack: the same scores of each candidate's reference profile; the candidates in the nearest cell (fewest bins
    away, summed over the scores), ties split.
    """
    scores = [
        [risk_score(people, study.panel, own) for people in (study.panel, study.dosage, study.references)]
        for own in np.atleast_2d(weights)
    ]

    def level(bins: int) -> Level:
        edges = [np.unique(np.quantile(panel, np.arange(1, bins) / bins)) for panel, _, _ in scores]
        shown = [np.searchsorted(cuts, raw) for cuts, (_, raw, _) in zip(edges, scores, strict=True)]
        expected = np.array(
            [np.searchsorted(cuts, reference) for cuts, (_, _, reference) in zip(edges, scores, strict=True)]
        )  # [D, candidates]

        def rr(_: Sequence[Attack]) -> float:
            cells, cell_of = np.unique(np.array(shown), axis=1, return_inverse=True)  # [D, cells]
            success = np.zeros(len(study.dosage))
            for index, cell in enumerate(cells.T):
                apart = np.abs(expected - cell[:, None]).sum(axis=0)  # [candidates]
                nearest, records = apart == apart.min(), cell_of.reshape(-1) == index
                success[records] = nearest[records] / nearest.sum()
            return float(success.mean())

        aucs = [score_auc(own.astype(np.float64), one) for own, (one, _) in zip(shown, study.declared, strict=True)]
        return Level(f"{bins} bins", study.worth(np.array(aucs)), rr)

    return Method(BINNED_COMPONENT if study.outcome.reconstructs else BINNED, tuple(level(bins) for bins in BINS))


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
        ratio = share(level.auc, study.raw_auc)
        return BaselineRow(name=name, matched=matched, rr=level.rr(attacks), utility_ratio=ratio)

    def points(method: Method) -> Iterable[FrontierPoint]:
        for level in method.levels:
            ratio = share(level.auc, study.raw_auc)
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
