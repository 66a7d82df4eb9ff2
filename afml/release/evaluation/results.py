"""From noised sums to rates and utilities over all institutions, with intervals that hold the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from afml.data.columns import Trait
from afml.evaluation.rr import clopper_pearson
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.release.evaluation.vector import MEMBERSHIP, MEMBERSHIP_SCORES, RECOGNISED, SIDES, scale_of, side_of
from afml.tasks.evaluation.exact import Z95, r2_sampling
from afml.tasks.evaluation.noised import figure
from afml.tasks.evaluation.noised import measured as scored
from afml.tasks.release.blocks import Estimate

_HALF = NormalDist().inv_cdf(1 - 0.025 / 2)
"""Half of the 5 % that an interval may miss is the noise's, half the sample's (Bonferroni)."""
_LEAST = 0.01  # what raw genotypes must add to chance for a ratio to mean anything; as in a report


def measured(settings: ReleaseEvaluationSettings, sums: Mapping[str, Estimate]) -> dict[str, Any]:
    """All that the page says of people.

    Args:
        settings: Of the run.
        sums: Block -> what came out of it.
    """
    by_attack = _rates(settings.attacks, sums[RECOGNISED])
    by_score = _rates(MEMBERSHIP_SCORES, sums[MEMBERSHIP])
    worst, nearest = (max(rows, key=lambda row: row["rate"]) for rows in (by_attack, by_score))
    return {
        "people": sums[RECOGNISED].people,
        "candidates": settings.candidates,
        "chance": figure(1 / settings.candidates),
        "rr": worst["rate"],
        "rr_95": worst["rate_95"],
        "rr_by_attack": by_attack,
        "membership_auc": nearest["rate"],
        "membership_auc_95": nearest["rate_95"],
        "membership_by_score": by_score,
        "traits": [_trait(trait, settings, sums) for trait in settings.traits],
    }


def _rates(names: Sequence[str], sums: Estimate) -> list[dict[str, Any]]:
    """Means over people of numbers in [0, 1].

    The interval holds noise and sampling at 97.5 % each. A number in [0, 1] varies most where it is 0 or 1, so the
    binomial's interval of the sample is wide enough (`afml.evaluation.rr.interval`).
    """
    found = []
    for name, total, noise in zip(names, sums.sum.tolist(), sums.std.tolist(), strict=True):
        low, high = (min(max(total + side * _HALF * noise, 0.0), float(sums.people)) for side in (-1, 1))
        bounds = clopper_pearson(low, sums.people, 0.975)[0], clopper_pearson(high, sums.people, 0.975)[1]
        rate = figure(total / sums.people)
        found.append({"name": name, "rate": rate, "rate_95": [figure(bound) for bound in bounds]})
    return found


def _trait(trait: Trait, settings: ReleaseEvaluationSettings, sums: Mapping[str, Estimate]) -> dict[str, Any]:
    scale = scale_of(trait, settings)
    told = [scored(scale, sums[side_of(trait, side)]) for side in SIDES]
    people = sums[RECOGNISED].people
    pairs = [_auc(one) if trait.kind == "binary" else _r2(one, people) for one in told]
    measure, chance = ("auc", 0.5) if trait.kind == "binary" else ("r2", 0.0)
    found: dict[str, Any] = {"name": trait.name, "kind": trait.kind, "measure": measure}
    for side, pair in zip(SIDES, pairs, strict=True):
        found |= {side: None if pair is None else figure(pair[0]), f"{side}_95": _around(pair)}
    found |= {"ratio": None, "ratio_95": None}
    released, raw = pairs
    if released is not None and raw is not None and raw[0] - chance > max(_LEAST, Z95 * raw[1]):
        ratio = released[0] / raw[0]
        # Both are of the same people, so that sampling moves them together: as if apart, the interval is too wide.
        error = math.hypot(released[1], ratio * raw[1]) / raw[0]
        found |= {"ratio": figure(ratio), "ratio_95": _around((ratio, error))}
    return found


def _auc(told: Mapping[str, Any]) -> tuple[float, float] | None:
    """(AUC, its standard error)."""
    if told["auc"] is None:
        return None
    return told["auc"], (told["auc_95"][1] - told["auc_95"][0]) / (2 * Z95)


def _r2(told: Mapping[str, Any], people: int) -> tuple[float, float] | None:
    """(squared correlation, 0 where it is negative, and its standard error)."""
    if told["correlation"] is None:
        return None
    correlation = max(told["correlation"], 0.0)
    noise = (told["correlation_noise_95"][1] - told["correlation_noise_95"][0]) / (2 * Z95)
    return correlation**2, math.hypot(2 * correlation * noise, noise**2, r2_sampling(correlation**2, people))


def _around(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else [figure(pair[0] - Z95 * pair[1]), figure(pair[0] + Z95 * pair[1])]
