"""Exact measures of people whom one may see: they stay with the institution whose people they are.

Every person counts once, however many rows they have. The intervals (95 %) are those of sampling, as textbooks have
them: Hanley and McNeil (1982) for AUC, the binomial's normal one for shares, the large-sample one for R^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.tasks.evaluation.answers import Answers, Outcome, probabilities

Z95 = 1.959963984540054
_CALIBRATION_BINS = 10


def measured(given: Answers) -> dict[str, Any]:
    """The measures of one outcome, by name; None where they are not defined."""
    return {"target": given.name, "outcome": given.outcome} | _MEASURES[given.outcome](given)


def auc(said: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    """Probability that a case is given more than a control, ties counted half; None without both.

    Args:
        said: [rows].
        truth: 0 or 1, [rows].
        weights: [rows].
    """
    _, place = np.unique(said, return_inverse=True)
    cases, controls = (np.bincount(place, weights * (truth == value)) for value in (1, 0))  # by distinct number
    total = float(cases.sum() * controls.sum())
    if not total:
        return None
    below = np.cumsum(controls) - controls
    return float((cases * (below + controls / 2)).sum()) / total


def _binary(given: Answers) -> dict[str, Any]:
    weights, truth = given.weights, given.truth
    chance, log_odds = probabilities(given.said)
    cases, people = float(weights @ truth), float(weights.sum())
    area = auc(given.said, truth, weights)
    hit = float(weights @ ((chance >= 0.5) == (truth == 1))) / people
    place = np.minimum((chance * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    bins = []
    for number in range(_CALIBRATION_BINS):
        own = weights * (place == number)
        if held := float(own.sum()):
            bins.append({"people": held, "said": float(own @ chance) / held, "seen": float(own @ truth) / held})
    return {
        "said_in": "log-odds" if log_odds else "probabilities",
        "cases": cases,
        **_with_interval("auc", area, _hanley_mcneil(area, cases, people - cases)),
        **_with_interval("accuracy", hit, math.sqrt(hit * (1 - hit) / people)),
        "brier": float(weights @ (chance - truth) ** 2) / people,
        "calibration": bins,
    }


def _categorical(given: Answers) -> dict[str, Any]:
    weights, people = given.weights, float(given.weights.sum())
    confusion = np.zeros((given.classes, given.classes))  # [truth, said]
    np.add.at(confusion, (given.truth.astype(np.int64), given.said.argmax(axis=1)), weights)
    hit = float(np.trace(confusion)) / people
    return {
        **_with_interval("accuracy", hit, math.sqrt(hit * (1 - hit) / people)),
        "confusion": confusion.tolist(),
    }


def _quantitative(given: Answers) -> dict[str, Any]:
    weights, people = given.weights, float(given.weights.sum())
    mean = float(weights @ given.truth) / people
    spread = float(weights @ (given.truth - mean) ** 2) / people
    error = float(weights @ (given.truth - given.said) ** 2) / people
    r2 = 1 - error / spread if spread else None
    return {
        **_with_interval("r2", r2, None if r2 is None else r2_sampling(r2, people)),
        "bias": float(weights @ (given.said - given.truth)) / people,
        "rmse": math.sqrt(error),
    }


_MEASURES: dict[Outcome, Callable[[Answers], dict[str, Any]]] = {
    "binary": _binary, "categorical": _categorical, "quantitative": _quantitative,
}  # fmt: skip


def r2_sampling(r2: float, people: float) -> float:
    """Large-sample standard error of R^2: 2 sqrt(R^2) (1 - R^2) / sqrt(n); of an R^2 of 0 at least 1 / n."""
    inside = min(max(r2, 0.0), 1.0)
    return max(2 * math.sqrt(inside) * (1 - inside) / math.sqrt(people), 1 / people)


def _hanley_mcneil(area: float | None, cases: float, controls: float) -> float | None:
    if area is None or not cases or not controls:
        return None
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (cases - 1) * (q1 - area**2) + (controls - 1) * (q2 - area**2)
    return math.sqrt(max(spread, 0.0) / (cases * controls))


def _with_interval(name: str, value: float | None, error: float | None) -> dict[str, Any]:
    if value is None or error is None:
        return {name: value, f"{name}_95": None}
    return {name: value, f"{name}_95": [value - Z95 * error, min(1.0, value + Z95 * error)]}
