"""How sure a utility ratio is, for as many other held-out people: models, noise and training people stay as they are.

An AUC is a mean over pairs of a case and a control. How much it varies, and how much two AUCs of the same people vary
together, follows from how each person's pairs came out (DeLong, DeLong, Clarke-Pearson 1988). The ratio of two is taken
on the logarithmic scale, and so is the difference from what covariates reach. R^2 has no such formula: people are drawn
again with replacement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from afml.evaluation.attacks.base import Float64

Z95 = 1.959964
DRAWS = 2000
_AT_ONCE = 1 << 22  # numbers of a draw in memory at a time

Interval = tuple[float, float]


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
    cases, controls = zip(*(_placements(case, one) for one in (released, raw)), strict=True)
    auc = np.array([one.mean() for one in cases])
    spread = np.cov(np.array(cases)) / case.sum() + np.cov(np.array(controls)) / (~case).sum()
    if auc.min() <= 0:
        return None
    variance = spread[0, 0] / auc[0] ** 2 + spread[1, 1] / auc[1] ** 2 - 2 * spread[0, 1] / (auc[0] * auc[1])
    middle, away = float(auc[0] / auc[1]), Z95 * float(np.sqrt(max(variance, 0.0)))
    return middle * float(np.exp(-away)), middle * float(np.exp(away))


def _placements(case: NDArray[np.bool_], score: Float64) -> tuple[Float64, Float64]:
    """Each case's share of controls below it, and each control's share of cases above it; ties count half."""
    every = rankdata(score)
    cases, controls = int(case.sum()), int((~case).sum())
    below = (every[case] - rankdata(score[case])) / controls
    above = 1.0 - (every[~case] - rankdata(score[~case])) / cases
    return below, above


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
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
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
