"""The best raw model where there are many people: penalties of all outcomes are compared on one Gram matrix a fold.

A logistic model close to its intercept is a least-squares model of the working response (y - p) / (p (1 - p)) with
weights p (1 - p), p being the share of cases: the first step of iteratively reweighted least squares. Penalties are
compared on this model in cross-validation; the one that is best is then fitted as what it is, a logistic model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import explained, features_of

#: Training people from which on penalties are compared so, and sites up to which.
PEOPLE, SITES = 8_000, 8_192
FOLDS = 3
STEPS = 300
#: Quadratic bounds of an L1 fit at most, steps in each, and the change of log-odds at which it has settled.
BOUNDS, STEPS_OF_A_BOUND, SETTLED = 60, 40, 2e-3

Penalty = tuple[bool, float]
"""(whether L1, size as scikit-learn has it: C of a logistic model, alpha of a linear one)."""


def many(outcome: Outcome, sites: int) -> bool:
    """Whether there are so many people that penalties are compared in this way."""
    return int(outcome.training.sum()) > PEOPLE and sites <= SITES and not outcome.reconstructs


def best_penalties(dosage: Int8, outcomes: Sequence[Outcome], candidates: Sequence[Sequence[Penalty]]) -> list[Penalty]:
    """The best penalty of each outcome, by cross-validation on training people.

    Args:
        dosage: int8[n, S], raw.
        outcomes: With the same split and covariates.
        candidates: As many of each outcome.
    """
    training = outcomes[0].training
    features = features_of(dosage, outcomes[0])[training]
    truth = [one.phenotype[training] for one in outcomes]
    response, scale = _responses(outcomes, truth)
    weights = np.array(
        [
            [_weight(*size, one, values) for size in of]
            for of, one, values in zip(candidates, outcomes, truth, strict=True)
        ]
    )
    weights = weights / scale[:, None]
    lasso = np.array([[l1 for l1, _ in of] for of in candidates])
    folds = [test for _, test in KFold(FOLDS, shuffle=True, random_state=0).split(features)]
    grams = [features[test].T @ features[test] for test in folds]
    moments = [features[test].T @ response[test].astype(features.dtype) for test in folds]
    reached = np.zeros(weights.shape)
    for test, gram, moment in zip(folds, grams, moments, strict=True):
        left = _solutions(sum(grams) - gram, sum(moments) - moment, weights, lasso)  # [features, outcomes, candidates]
        predicted = features[test] @ left.reshape(len(left), -1).astype(features.dtype)
        predicted = predicted.reshape(len(test), *weights.shape)
        for k, one in enumerate(outcomes):
            known = truth[k][test]
            reached[k] += [_score(one, known, predicted[:, k, c]) for c in range(weights.shape[1])]
    return [of[int(row.argmax())] for of, row in zip(candidates, reached, strict=True)]


def _responses(outcomes: Sequence[Outcome], truth: Sequence[NDArray[Any]]) -> tuple[Float64, Float64]:
    """(float64[n, outcomes] working responses, float64[outcomes] their weights)."""
    columns, scale = [], []
    for one, known in zip(outcomes, truth, strict=True):
        values = known.astype(np.float64)
        rate = values.mean()
        weight = 1.0 if one.quantitative else float(rate * (1 - rate))
        columns.append((values - rate) / weight)
        scale.append(weight)
    return np.stack(columns, axis=1), np.array(scale)


def _weight(l1: bool, size: float, outcome: Outcome, truth: NDArray[Any]) -> float:
    """The weight of |b| or b^2 / 2 beside half the sum of squares, before it is divided by the response's weight."""
    if not outcome.quantitative:
        return 1 / size
    people = len(truth) * (FOLDS - 1) / FOLDS
    return size * float(truth.std()) * people if l1 else size


def _solutions(gram: NDArray[Any], moment: NDArray[Any], weights: Float64, lasso: NDArray[np.bool_]) -> Float64:
    """Minimisers of b'Gb / 2 - m'b + penalty: float64[features, outcomes, candidates]."""
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    rotated = vectors.T @ moment  # [features, outcomes]
    ridge = rotated[:, :, None] / (np.maximum(values, 0.0)[:, None, None] + weights)
    out = np.asarray((vectors @ ridge.reshape(len(values), -1)).reshape(ridge.shape))
    (outcome, candidate), threshold = np.nonzero(lasso), weights[lasso]
    if len(threshold):
        nothing = np.zeros((len(gram), len(threshold)))
        out[:, outcome, candidate] = _Lasso(gram).least(moment[:, outcome], threshold, nothing)
    return out


class _Lasso:
    """Minimisers of b'Gb / 2 - m'b + threshold |b|, many at once, by accelerated proximal gradient (Beck, Teboulle
    2009) on features at unit length."""

    def __init__(self, gram: NDArray[Any]) -> None:
        self._length = np.sqrt(np.maximum(gram.diagonal(), 1e-12))[:, None].astype(np.float64)
        self._unit = (gram / self._length / self._length.T).astype(gram.dtype)
        self._step = gram.dtype.type(1 / float(np.linalg.eigvalsh(self._unit)[-1]))

    def least(self, moment: NDArray[Any], threshold: Float64, start: Float64, steps: int = STEPS) -> Float64:
        """float64[features, columns] of moments [features, columns] and a threshold each, from `start` on."""
        kind = self._unit.dtype
        pull, limit = (moment / self._length).astype(kind), (self._step * threshold / self._length).astype(kind)
        now = ahead = (start * self._length).astype(kind)
        pace = 1.0
        for _ in range(steps):
            moved = ahead - self._step * (self._unit @ ahead - pull)
            after = np.sign(moved) * np.maximum(np.abs(moved) - limit, 0)
            faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
            ahead = after + kind.type((pace - 1) / faster) * (after - now)
            now, pace = after, faster
        return np.asarray(now / self._length)


def _score(who: Outcome, truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    return explained(truth, predicted) if who.quantitative else float(roc_auc_score(truth, predicted))


def lasso_aucs(features: NDArray[Any], outcomes: Sequence[Outcome], sizes: Sequence[float]) -> list[float]:
    """Held-out AUC of L1 logistic regression of outcomes with the same split, all at once.

    The curvature of a logistic loss is a quarter of the Gram matrix at most (Boehning, Lindsay 1988). So each step
    finds the least of a quadratic bound, on the one Gram matrix of all outcomes, with the momentum of accelerated
    proximal gradient. The intercept is a coefficient like others, as liblinear has it.

    Args:
        features: float[n, F], standardised on training people.
        outcomes: Binary.
        sizes: C of each.
    """
    train = outcomes[0].training
    known = features[train]
    truth = np.stack([one.phenotype[train] for one in outcomes], axis=1).astype(np.float64)
    weight, people = 1 / np.array(sizes), len(known)
    bound = known.T @ known / known.dtype.type(4)
    lasso = _Lasso(bound)
    # Coefficients, the intercept last, and the log-odds that they give: of this step, and a little ahead of it.
    now = ahead = np.zeros((known.shape[1] + 1, len(outcomes)))
    odds = odds_ahead = np.zeros(truth.shape)
    pace = 1.0
    for _ in range(BOUNDS):
        wrong = truth - expit(odds_ahead)
        slope = bound @ ahead[:-1].astype(known.dtype) + known.T @ wrong.astype(known.dtype)
        moved = ahead[-1] + 4 * wrong.mean(axis=0)
        intercept = np.sign(moved) * np.maximum(np.abs(moved) - 4 * weight / people, 0)
        after = np.concatenate([lasso.least(slope, weight, now[:-1], STEPS_OF_A_BOUND), intercept[None, :]])
        odds_after = known @ after[:-1].astype(known.dtype) + after[-1]
        change = float(np.abs(odds_after - odds).max())
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = after + (pace - 1) / faster * (after - now)
        odds_ahead = odds_after + (pace - 1) / faster * (odds_after - odds)
        now, odds, pace = after, odds_after, faster
        if change < SETTLED:
            break
    found, intercept = now[:-1], now[-1]
    told = features[~train] @ found.astype(known.dtype) + intercept
    return [float(roc_auc_score(one.phenotype[~train], of)) for one, of in zip(outcomes, told.T, strict=True)]
