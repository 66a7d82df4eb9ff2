"""Whether predicted probabilities can be taken at their word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import features_of, fixed_model, held_out
from afml.evaluation.utility.selection import as_read


@dataclass(frozen=True)
class Calibration:
    """Whether predicted probabilities can be taken at their word, on held-out people.

    Attributes:
        brier: Mean squared error of the predicted probability (Brier 1950); lower is better.
        brier_of_rate: The same where everybody is given the share of cases among training people.
        slope: Slope of a logistic regression of the outcome on the predicted log-odds (Cox 1958): 1 is
            calibrated, below 1 overconfident, above 1 too cautious. None where predictions do not vary.
    """

    brier: float
    brier_of_rate: float
    slope: float | None


@dataclass(frozen=True, eq=False)
class Judged:
    """What the fixed pipeline makes of records.

    Attributes:
        reached: Held-out AUC, or R^2 of a quantitative trait.
        predicted: float64[held-out people], log-odds or values; all equal where no record varies.
        calibration: Of a binary outcome.
    """

    reached: float
    predicted: Float64
    calibration: Calibration | None


def calibration(records: Int8 | Float64, outcome: Outcome) -> Calibration:
    """Calibration of the fixed pipeline on raw or released records, int8[n, S], of a binary outcome."""
    found = judged(as_read(records, outcome), outcome).calibration
    assert found is not None
    return found


def judged(records: Int8 | Float64, outcome: Outcome) -> Judged:
    """The fixed pipeline on records as they are read."""
    features, model = features_of(records, outcome), fixed_model(outcome)
    reached = held_out(features, outcome, model)
    others = ~outcome.training
    if features.shape[1] == 0:
        predicted = np.zeros(int(others.sum()))
    else:
        told = model.predict if outcome.quantitative else model.decision_function
        predicted = np.asarray(told(features[others]), dtype=np.float64)
    found = None
    if not outcome.quantitative:
        rate = np.full(len(predicted), float(outcome.phenotype[outcome.training].mean()))
        found = calibrated(
            model.predict_proba(features[others])[:, 1] if features.shape[1] else rate, predicted, outcome
        )
    return Judged(reached, predicted, found)


def calibrated(chance: Float64, odds: Float64, outcome: Outcome) -> Calibration:
    """Calibration of predicted probabilities of held-out people, float64[held-out people], and of their log-odds."""
    train = outcome.training
    truth = outcome.phenotype[~train].astype(np.float64)
    rate = float(outcome.phenotype[train].mean())
    by_rate = float(((rate - truth) ** 2).mean())
    scale = float(odds.std())
    slope = None
    if scale > 1e-9:
        again = LogisticRegression(C=1e6, max_iter=1000).fit((odds / scale)[:, None], outcome.phenotype[~train])
        slope = float(again.coef_[0, 0]) / scale
    return Calibration(float(((chance - truth) ** 2).mean()), by_rate, slope)
