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
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import explained, features_of

#: Training people from which on penalties are compared so, and sites up to which.
PEOPLE, SITES = 8_000, 8_192
FOLDS = 3
STEPS = 300
FIRST_COLUMNS = 200

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
        out[:, outcome, candidate] = _lasso(gram, moment[:, outcome], threshold)
    return out


def _lasso(gram: NDArray[Any], moment: NDArray[Any], threshold: Float64) -> NDArray[Any]:
    """Accelerated proximal gradient (Beck, Teboulle 2009), all columns at once, features at unit length."""
    length = np.sqrt(np.maximum(gram.diagonal(), 1e-12))[:, None].astype(np.float64)
    unit = (gram / length / length.T).astype(gram.dtype)
    step = 1 / float(np.linalg.eigvalsh(unit)[-1])
    pull, limit = (moment / length).astype(gram.dtype), (step * threshold / length).astype(gram.dtype)
    now = ahead = np.zeros_like(pull)
    pace = 1.0
    for _ in range(STEPS):
        moved = ahead - gram.dtype.type(step) * (unit @ ahead - pull)
        after = np.sign(moved) * np.maximum(np.abs(moved) - limit, 0)
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = after + gram.dtype.type((pace - 1) / faster) * (after - now)
        now, pace = after, faster
    return np.asarray(now / length)


def _score(who: Outcome, truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    return explained(truth, predicted) if who.quantitative else float(roc_auc_score(truth, predicted))


def lasso_auc(features: NDArray[Any], outcome: Outcome, size: float) -> float:
    """Held-out AUC of L1 logistic regression: fitted on few columns, and on more until no other one would enter.

    A column is out of the whole fit exactly where C |sum of its products with the residuals| <= 1 (Tibshirani et al.
    2012, strong rules).
    """
    train = outcome.training
    known, truth = features[train], outcome.phenotype[train]
    pull = np.abs(known.T @ (truth - truth.mean()).astype(known.dtype))
    columns = np.sort(np.argsort(-pull, kind="stable")[:FIRST_COLUMNS])
    model = LogisticRegression(l1_ratio=1.0, solver="liblinear", C=size, max_iter=1000, random_state=0)
    while True:
        model.fit(known[:, columns], truth)
        residual = truth - model.predict_proba(known[:, columns])[:, 1]
        pull = size * np.abs(known.T @ residual.astype(known.dtype))
        pull[columns] = 0.0
        more = np.flatnonzero(pull > 1 + 1e-3)
        if not len(more):
            break
        columns = np.union1d(columns, more)
    return float(roc_auc_score(outcome.phenotype[~train], model.decision_function(features[~train][:, columns])))
