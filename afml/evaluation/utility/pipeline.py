"""The fixed pipeline: raw data, release and baselines are all judged by it.

Sites standardised on the training people, L2 logistic regression with scikit-learn's C = 0.01, area under the ROC
curve (AUC) on held-out people. Missing genotypes take the training mean. A release of few sites is not tuned more
kindly than the raw data it is compared with: with so few columns C = 0.01 hardly shrinks the fit (15 people's
worth of loss against a unit penalty), and the AUC depends on ranks alone. Genotypes enter as dosages, as in
an association study, and not as one column a pattern.

A quantitative trait has the linear counterpart: ridge regression with penalty 1 / C, and R^2 on held-out people,
the squared correlation of prediction and trait (0 where it is negative). Functions and fields called `auc` hold this
R^2 for such a trait. Covariates stand beside the genotypes in every fit, raw and released alike; then chance
is what they predict without a genotype.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.utility.outcome import Outcome

Floats = NDArray[np.float64] | NDArray[np.float32]
FIXED_C = 0.01
#: Values from which on features are held in single precision.
CELLS = 1 << 25
#: Covariates are this many times as long as a site, so that a penalty made for sites hardly shrinks them.
COVARIATE_LENGTH = 10.0


def standardise(dosage: Int8, training: NDArray[np.bool_]) -> Floats:
    """Centre and scale each site on training people; missing -> training mean; constant sites are dropped.

    Returns:
        float64[n, sites that vary among training people]; float32 where it would be more than `CELLS` values.
    """
    kind = np.float64 if dosage.size <= CELLS else np.float32
    called = dosage != MASKED
    people = np.maximum(called[training].sum(axis=0), 1)
    values: NDArray[Any] = np.where(called, dosage, 0).astype(kind)
    mean = (values * training[:, None]).sum(axis=0, dtype=np.float64) / people
    values -= mean.astype(kind)
    values[~called] = 0.0
    scale = np.sqrt(np.square(values[training]).mean(axis=0, dtype=np.float64))
    varies = scale > 1e-9
    return np.asarray(values[:, varies] / scale[varies].astype(kind))


def with_covariates(features: Floats, outcome: Outcome) -> Floats:
    """Append covariates, centred and scaled on training people; constant ones are dropped."""
    if outcome.covariates is None:
        return features
    values = outcome.covariates - outcome.covariates[outcome.training].mean(axis=0)
    scale = values[outcome.training].std(axis=0)
    varies = scale > 1e-9
    return np.hstack([features, (COVARIATE_LENGTH * values[:, varies] / scale[varies]).astype(features.dtype)])


def features_of(records: Int8 | Float64, outcome: Outcome) -> Floats:
    """What the pipeline fits on, [n, features]: standardised sites, or scores that records tell, then covariates."""
    if records.dtype == np.int8:
        return with_covariates(standardise(records.astype(np.int8, copy=False), outcome.training), outcome)
    scores = records.reshape(len(records), -1).astype(np.float64, copy=False)
    centred = scores - scores[outcome.training].mean(axis=0)
    scale = centred[outcome.training].std(axis=0)
    varies = scale > 1e-12
    return with_covariates(centred[:, varies] / scale[varies], outcome)


def held_out(features: Floats, outcome: Outcome, model: Any) -> float:
    """AUC, or R^2, of a model on held-out people; the model is fitted here."""
    train = outcome.training
    if features.shape[1] == 0:
        return outcome.chance
    model.fit(features[train], outcome.phenotype[train])
    truth = outcome.phenotype[~train]
    if not outcome.quantitative:
        return float(roc_auc_score(truth, model.decision_function(features[~train])))
    predicted = model.predict(features[~train])
    if outcome.reconstructs:  # all sites together, about their means in training people
        about = truth - outcome.phenotype[train].mean(axis=0)
        return max(0.0, 1.0 - float(((truth - predicted) ** 2).sum() / (about**2).sum()))
    return explained(truth, predicted)


def explained(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """R^2: squared correlation, 0 where it is negative or one side does not vary."""
    if predicted.std() < 1e-12 or truth.std() < 1e-12:
        return 0.0
    return max(0.0, float(np.corrcoef(predicted, truth)[0, 1])) ** 2


def fixed_model(outcome: Outcome) -> Any:
    """The pipeline's model, not yet fitted."""
    if outcome.quantitative:
        return Ridge(alpha=1 / FIXED_C)
    return LogisticRegression(C=FIXED_C, max_iter=1000)


def raw_auc(dosage: Int8, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on raw data; missing calls take the training mean."""
    return held_out(features_of(dosage, outcome), outcome, fixed_model(outcome))


def score_auc(score: Float64, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on one number per person, float64[n], or several, [n, scores]."""
    return held_out(features_of(score.astype(np.float64, copy=False), outcome), outcome, fixed_model(outcome))


def covariate_auc(outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on covariates alone; chance where there are none."""
    none = np.zeros((len(outcome.phenotype), 0))
    return held_out(with_covariates(none, outcome), outcome, fixed_model(outcome))


def origin(outcome: Outcome) -> float:
    """Where ratios of several outcomes are counted from (`Utility.served`): 0, or `Utility.base` with covariates."""
    return 0.0 if outcome.covariates is None else max(outcome.chance, covariate_auc(outcome))
