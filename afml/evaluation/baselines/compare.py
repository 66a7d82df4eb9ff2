"""Every baseline matched to one release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks import Attack
from afml.evaluation.attacks.base import Float64
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.scoring import IN_CHILDREN_FROM, alone
from afml.evaluation.baselines.binned import binned_score
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level
from afml.evaluation.baselines.grouped import AT_ONCE, grouped_families
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
    trial = _Trial(comparands.raw_auc, release.auc, attacks)
    # A family is made where it is judged: of many people in a child of its own, and only its figures come back.
    families: list[Callable[[], Family]] = [
        partial(random_masking, comparands),
        partial(static_sites, comparands, weights),
        partial(binned_score, comparands, weights),
        partial(response_levels, comparands),
        *grouped_families(comparands, weights),
        *(partial(_given, family) for family in others),
    ]
    work: list[Callable[[], _Judged]] = [partial(trial.family, make) for make in families]
    work += [
        partial(trial.retained, RANDOM, partial(_random_as_much, comparands, release.retained)),
        partial(trial.retained, STATIC, partial(_static_as_much, comparands, weights, release.retained)),
    ]
    note(f"{len(families)} families")
    here = in_child() or comparands.people.size < IN_CHILDREN_FROM
    judged = [one() for one in work] if here else alone(work, min(usable_processors(), AT_ONCE))
    rows = [row for row, _ in judged]
    frontier = [point for _, points in judged for point in points]
    rr_random = rows[0].rr
    reduction = 1 - release.rr / rr_random if rr_random > 0 else 0.0
    return Comparison(tuple(rows), tuple(frontier), reduction, share(release.auc, comparands.raw_auc))


_Judged = tuple[BaselineRow, tuple[FrontierPoint, ...]]


@dataclass(frozen=True)
class _Trial:
    """How a baseline is judged beside a release of this AUC."""

    raw_auc: float
    auc: float
    attacks: Sequence[Attack]

    def family(self, make: Callable[[], Family]) -> _Judged:
        """Its row, matched on utility, and its levels."""
        family = make()
        row = self._row(family.name, "utility", family.reaching(self.auc))
        if len(family.levels) > 1:
            return row, tuple(self._points(family))
        label = family.levels[0].label
        return row, (FrontierPoint(name=row.name, level=label, rr=row.rr, utility_ratio=row.utility_ratio),)

    def retained(self, name: str, make: Callable[[], Level]) -> _Judged:
        """The row of a level that shows as much."""
        return self._row(name, "retention", make()), ()

    def _row(self, name: str, matched: Literal["utility", "retention"], level: Level) -> BaselineRow:
        ratio = share(level.auc, self.raw_auc)
        return BaselineRow(name=name, matched=matched, rr=level.rr(self.attacks), utility_ratio=ratio)

    def _points(self, family: Family) -> Iterable[FrontierPoint]:
        # On random masks and on static sites likelihood linkage is the strongest attack; the plot uses it alone.
        quick: Sequence[Attack] = (LikelihoodLinkage(),)
        rr = 0.0
        for level in family.levels:
            ratio = share(level.auc, self.raw_auc)
            # From little to much information: once everybody is found, nobody is attacked again.
            rr = level.rr(quick) if rr < 1 or family.name not in MASKS else rr
            yield FrontierPoint(name=family.name, level=level.label, rr=rr, utility_ratio=ratio)


def _given(family: Family) -> Family:
    return family


def _random_as_much(comparands: Comparands, retained: float) -> Level:
    """Random masking that shows as large a share of genotypes."""
    shown_raw = retained_fraction(comparands.dosage, comparands.fill)
    return random_level(comparands, min(1.0, retained / shown_raw) if shown_raw else 1.0)


def _static_as_much(comparands: Comparands, weights: Float64, retained: float) -> Level:
    """Static top sites that show as large a share of genotypes."""
    order = ranked_sites(comparands.panel, weights)
    shown = np.cumsum([retained_fraction(comparands.dosage[:, [s]], comparands.fill) for s in order[: max(TOP_SITES)]])
    count = 1 + int(np.abs(shown / comparands.dosage.shape[1] - retained).argmin()) if len(order) else 1
    return static_level(comparands, weights, count)
