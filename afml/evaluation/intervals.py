"""95 % intervals of AUC, R^2 and ratios of them on held-out people, as people of the same kind would differ by chance.

Models, noise and training people stay as they are. How much an AUC varies, and how much two of the same people vary
together, follows from how each person's pairs of a case and a control came out (DeLong, DeLong, Clarke-Pearson 1988).
A ratio of two is taken on the logarithmic scale. The ratio of two R^2 has no such formula: people are drawn again with
replacement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Float64

_QUANTILE = 1.959964
_DRAWS = 2000  # of people, for a ratio of R^2
_AT_ONCE = 1 << 22  # numbers of these in memory at a time

Interval = tuple[float, float]


def placements(values: Float64, among: Float64) -> Float64:
    """Share of `among` that each value exceeds, ties counting half."""
    ordered = np.sort(among)
    below, not_above = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + not_above) / (2 * len(ordered)))


def delong(placed: Float64, beaten: Float64) -> tuple[float, tuple[float, float]]:
    """An AUC and its interval, after DeLong, DeLong and Clarke-Pearson (1988).

    Args:
        placed: Share of the others that each one exceeds, [members], at least 2.
        beaten: Share of the members that exceeds each other one, [others].
    """
    auc = float(np.mean(placed))
    variance = placed.var(ddof=1) / len(placed) + (beaten.var(ddof=1) / len(beaten) if len(beaten) > 1 else 0.0)
    wide = _QUANTILE * float(np.sqrt(variance))
    return auc, (max(0.0, auc - wide), min(1.0, auc + wide))


def auc_of(cases: Float64, controls: Float64) -> tuple[float, tuple[float, float]]:
    """The AUC of scores, and its interval by `delong`.

    Args:
        cases: Theirs, at least 2.
        controls: Theirs, at least 1.
    """
    return delong(placements(cases, controls), 1 - placements(controls, cases))


def r2_of(correlation: float, people: int) -> tuple[float, float]:
    """The interval of the square of a correlation, by Fisher's transformation of it.

    Args:
        correlation: Of prediction and trait; where it is negative nothing is explained.
        people: At least 4.
    """
    wide = _QUANTILE / np.sqrt(people - 3)
    z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh(z - wide), np.tanh(z + wide)
    return float(max(0.0, low) ** 2), float(max(0.0, high) ** 2)


def ratio_interval(truth: NDArray[np.generic], released: Float64, raw: Float64) -> Interval | None:
    """95 % interval of (what `released` reaches) / (what `raw` reaches).

    Args:
        truth: [n] of held-out people: int8 in {0, 1} (AUC), or float64 (squared correlation, 0 where it is negative).
        released: float64[n], predictions from released records.
        raw: float64[n], predictions from raw records.

    Returns:
        (low, high); None where there is no ratio: predictions that do not vary, nothing predicted from raw records.
    """
    if truth.dtype.kind == "f":
        return _explained_ratio(truth.astype(np.float64), released, raw)
    return _auc_ratio(truth.astype(np.bool_), released, raw)


def _auc_ratio(case: NDArray[np.bool_], released: Float64, raw: Float64) -> Interval | None:
    if min(case.sum(), (~case).sum()) < 2:
        return None
    of_cases = np.array([placements(one[case], one[~case]) for one in (released, raw)])
    of_controls = np.array([placements(one[~case], one[case]) for one in (released, raw)])
    auc = of_cases.mean(axis=1)
    spread = np.cov(of_cases) / case.sum() + np.cov(of_controls) / (~case).sum()
    if auc.min() <= 0:
        return None
    variance = spread[0, 0] / auc[0] ** 2 + spread[1, 1] / auc[1] ** 2 - 2 * spread[0, 1] / (auc[0] * auc[1])
    middle, away = float(auc[0] / auc[1]), _QUANTILE * float(np.sqrt(max(variance, 0.0)))
    return middle * float(np.exp(-away)), middle * float(np.exp(away))


def _explained_ratio(truth: Float64, released: Float64, raw: Float64) -> Interval | None:
    if min(truth.std(), raw.std()) < 1e-12:
        return None
    rng = np.random.default_rng(0)
    values = np.stack([one - one.mean() for one in (truth, released, raw)])  # [3, n]
    people = values.shape[1]
    products = np.stack([values[0] * values[k] for k in range(3)] + [values[k] ** 2 for k in (1, 2)])
    sums = np.concatenate([values, products]).T  # [n, 8]
    found: list[Float64] = []
    step = max(1, _AT_ONCE // people)
    for start in range(0, _DRAWS, step):
        draws = min(step, _DRAWS - start)
        counts = rng.multinomial(people, np.full(people, 1 / people), size=draws)
        mean = counts @ sums / people  # [draws, 8]
        about = mean[:, :3]
        spread = [mean[:, 3] - about[:, 0] ** 2, mean[:, 6] - about[:, 1] ** 2, mean[:, 7] - about[:, 2] ** 2]
        told, whole = (
            np.maximum(mean[:, 3 + k] - about[:, 0] * about[:, k], 0.0) ** 2 / np.maximum(spread[0] * spread[k], 1e-24)
            for k in (1, 2)
        )
        found.append(np.where(whole > 1e-9, told / np.maximum(whole, 1e-9), np.nan))
    ratios = np.concatenate(found)
    if np.isnan(ratios).mean() > 0.025:  # raw records hardly predict it: the ratio has no upper end
        return None
    low, high = np.nanquantile(ratios, (0.025, 0.975))
    return float(low), float(high)
