"""Every baseline matched to one release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from afml.evaluation.attacks import Attack
from afml.evaluation.attacks.base import Float64
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.baselines.binned import binned_score
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level
from afml.evaluation.baselines.grouped import grouped_families
from afml.evaluation.baselines.masked import (
    MASKS,
    RANDOM,
    STATIC,
    TOP_SITES,
    random_level,
    random_masking,
    ranked_sites,
    response_levels,
    static_level,
    static_sites,
)
from afml.evaluation.report import BaselineRow, FrontierPoint
from afml.evaluation.rr import retained_fraction
from afml.evaluation.utility import share


@dataclass(frozen=True)
class UnderTest:
    """The release that baselines are matched to.

    Attributes:
        auc: Its held-out AUC.
        rr: Its re-identification rate.
        retained: Share of genotypes that it shows.
    """

    auc: float
    rr: float
    retained: float


@dataclass(frozen=True)
class Comparison:
    """Baselines against one release.

    Attributes:
        rows: For report.json.
        frontier: Every level, RR by likelihood linkage where a family has many levels.
        rr_reduction_vs_random: 1 - rr / rr of random masking at matched utility.
        own: Utility ratio of the release under test on the same people.
    """

    rows: tuple[BaselineRow, ...]
    frontier: tuple[FrontierPoint, ...]
    rr_reduction_vs_random: float
    own: float


def compare(
    comparands: Comparands,
    release: UnderTest,
    *,
    weights: Float64,
    others: Sequence[Family],
    attacks: Sequence[Attack],
    note: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Match every baseline to a release.

    Args:
        comparands: The people.
        release: What baselines are matched to.
        weights: float64[S], the DP risk model's weights per dosage.
        others: Further releases to list, matched on utility.
        attacks: Run on every row of the table.
        note: Told what is running.
    """
    note("random masking")
    random = random_masking(comparands)
    note("static top sites and binned score")
    families = (
        random,
        static_sites(comparands, weights),
        binned_score(comparands, weights),
        response_levels(comparands),
        *grouped_families(comparands, weights),
        *others,
    )
    rows: list[BaselineRow] = []
    frontier: list[FrontierPoint] = []
    # On random masks and on static sites likelihood linkage is the strongest attack; the plot uses it alone.
    quick: Sequence[Attack] = (LikelihoodLinkage(),)

    def row(name: str, matched: Literal["utility", "retention"], level: Level) -> BaselineRow:
        ratio = share(level.auc, comparands.raw_auc)
        return BaselineRow(name=name, matched=matched, rr=level.rr(attacks), utility_ratio=ratio)

    def points(family: Family) -> Iterable[FrontierPoint]:
        rr = 0.0
        for level in family.levels:
            ratio = share(level.auc, comparands.raw_auc)
            # From little to much information: once everybody is found, nobody is attacked again.
            rr = level.rr(quick) if rr < 1 or family.name not in MASKS else rr
            yield FrontierPoint(name=family.name, level=level.label, rr=rr, utility_ratio=ratio)

    for family in families:
        note(family.name)
        rows.append(row(family.name, "utility", family.reaching(release.auc)))
        if len(family.levels) > 1:
            frontier.extend(points(family))
        else:
            only = rows[-1]
            label = family.levels[0].label
            frontier.append(FrontierPoint(name=only.name, level=label, rr=only.rr, utility_ratio=only.utility_ratio))
    note("matched retention")
    random_as_much, static_as_much = _as_much(comparands, weights, release.retained)
    rows.append(row(RANDOM, "retention", random_as_much))
    rows.append(row(STATIC, "retention", static_as_much))
    rr_random = rows[0].rr
    reduction = 1 - release.rr / rr_random if rr_random > 0 else 0.0
    return Comparison(tuple(rows), tuple(frontier), reduction, share(release.auc, comparands.raw_auc))


def _as_much(comparands: Comparands, weights: Float64, retained: float) -> tuple[Level, Level]:
    """Random masking, and static top sites, that show as large a share of genotypes."""
    shown_raw = retained_fraction(comparands.dosage, comparands.fill)
    rate = min(1.0, retained / shown_raw) if shown_raw else 1.0
    order = ranked_sites(comparands.panel, weights)
    shown = np.cumsum([retained_fraction(comparands.dosage[:, [s]], comparands.fill) for s in order[: max(TOP_SITES)]])
    count = 1 + int(np.abs(shown / comparands.dosage.shape[1] - retained).argmin()) if len(order) else 1
    return random_level(comparands, rate), static_level(comparands, weights, count)
