"""Variants against the base on the same seeds, and which of them are reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from afml.evaluation.utility import released_auc
from afml.masking.kind import train_masking
from afml.masking.settings import ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.study.single import enrolled_of
from benchmarks.sharper.estimate import ESTIMATES, score_of
from benchmarks.sharper.ground import Cell, Ground
from benchmarks.sharper.mechanism import rounds_of
from benchmarks.sharper.variants import BASE, VARIANTS, Variant

Values = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One variant in one cell.

    Attributes:
        ratio, median: Mean and median utility ratio.
        difference: Mean over seeds of the ratio minus that of the base.
        interval: 95 % (Student) of that mean.
        ratios: Of every seed.
    """

    ratio: float
    median: float
    difference: float
    interval: tuple[float, float]
    ratios: tuple[float, ...]

    @classmethod
    def of(cls, ratios: Values, base: Values) -> Row:
        """At least two seeds, the same of both."""
        apart = ratios - base
        half = float(stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / math.sqrt(len(apart)))
        middle = float(apart.mean())
        return cls(
            ratio=round(float(ratios.mean()), 4),
            median=round(float(np.median(ratios)), 4),
            difference=round(middle, 4),
            interval=(round(middle - half, 4), round(middle + half, 4)),
            ratios=tuple(round(float(one), 4) for one in ratios),
        )

    @property
    def stored(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Seeds:
    """The traits of some seeds in a cell, and what raw genotypes reach on them."""

    ground: Ground
    cell: Cell
    seeds: tuple[int, ...]
    case: NDArray[np.int8]
    raw: Values

    @classmethod
    def of(cls, ground: Ground, cell: Cell, seeds: Sequence[int]) -> Seeds:
        seeds = tuple(seeds)
        case = ground.cases(cell, seeds)
        raw = np.array([ground.raw(cell, seed, case[:, at]) for at, seed in enumerate(seeds)])
        return cls(ground, cell, seeds, case, raw)

    def weights(self, variant: Variant) -> list[Values]:
        """Risk weights of every seed, [sites] each."""
        mechanism = variant.mechanism(self.ground)
        plan = self.ground.planned(self.cell, mechanism.game_share)
        measured = rounds_of(self.ground, mechanism, plan, self.case[self.ground.training], self.seeds)
        return [ESTIMATES[variant.estimate](self.ground, measured, at) for at in range(len(self.seeds))]

    def scores(self, variant: Variant) -> Values:
        """Utility ratio of the unmasked score, [seeds]."""
        made = [score_of(self.ground, one, self.case[:, at]) for at, one in enumerate(self.weights(variant))]
        return np.array(made) / self.raw

    def rows(self, names: Sequence[str], say: Say) -> dict[str, Row]:
        """Scores of some variants, the base first."""
        base, found = self.scores(VARIANTS[BASE]), {}
        for name in (BASE, *(name for name in names if name != BASE)):
            found[name] = Row.of(base if name == BASE else self.scores(VARIANTS[name]), base)
            say(f"{self.cell.name}: {name}: {found[name].ratio:.3f} ({found[name].difference:+.3f})")
        return found

    def played(self, focus: int, count: int, say: Say) -> tuple[Values, Values]:
        """The product's own rounds on the first seeds, integer sums and all.

        Args:
            focus: See `RiskSettings.focus`.
            count: Seeds.
            say: Told of every seed.

        Returns:
            (utility ratio of the score, of the release by ten patterns in groups of 20), [count] each.
        """
        data, scores, releases = self.ground.data, [], []
        asked = ReleaseSettings(method="codebook")
        for at, seed in enumerate(self.seeds[:count]):
            case, outcome = self.case[:, at], self.ground.outcome(self.case[:, at])
            run = self.ground.run(self.cell, seed, focus=focus)
            model = train_masking(run, data.panel, data.panel_dosage, enrolled_of(data, (case,)))
            plan = plan_release(model, data.panel_dosage, asked, people_per_file=min(run.enrolled.values()))
            shown = np.concatenate([apply_plan(plan, file).dosage for file in data.files])
            varies = (shown != shown[:1]).any(axis=0)
            scores.append(score_of(self.ground, model.weights, case) / self.raw[at])
            releases.append((released_auc(shown[:, varies], outcome) if varies.any() else 0.5) / self.raw[at])
            say(f"product, focus {focus}, seed {seed}: score {scores[-1]:.3f}, release {releases[-1]:.3f}")
        return np.array(scores), np.array(releases)


def best_of_each(rows: Mapping[str, Row]) -> list[str]:
    """Of each family the variant of the largest mean, whether it gained or not."""
    best: dict[str, str] = {}
    for name, row in rows.items():
        family = VARIANTS[name].family
        if family and (family not in best or row.ratio > rows[best[family]].ratio):
            best[family] = name
    return list(best.values())
