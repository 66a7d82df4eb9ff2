"""What a release is still good for: predicting the phenotype in people who were not trained on.

One fixed pipeline, the same for raw data, for the release and for every baseline: sites standardised on the
training people, L2 logistic regression with scikit-learn's C = 0.01, area under the ROC curve (AUC) on
held-out people. Missing genotypes take the training mean. A release of few sites is not tuned more kindly
than the raw data it is compared with: with so few columns C = 0.01 hardly shrinks the fit (15 people's
worth of loss against a unit penalty), and the AUC depends on ranks alone. Genotypes enter as dosages, as in
an association study, and not as one column a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from afml.core.errors import InputError
from afml.evaluation.attacks.base import MASKED, Float64, Int8

FIXED_C = 0.01
CROSS_VALIDATED_C = (0.001, 0.01, 0.02, 0.05, 0.1, 0.3)
FOLDS = 3


@dataclass(frozen=True)
class Outcome:
    """Phenotype and split of the people of a study.

    Attributes:
        phenotype: int8[n] in {0, 1}.
        training: bool[n]; the others are held out.
    """

    phenotype: NDArray[np.int8]
    training: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, people in (("training", self.training), ("held-out", ~self.training)):
            if len(np.unique(self.phenotype[people])) < 2:
                raise InputError(
                    f"the {people.sum()} {name} people do not hold both cases and controls",
                    cure="enrol more people, or change the share held out",
                )


@dataclass(frozen=True)
class Utility:
    """Held-out AUC of a release beside that of the raw data.

    Attributes:
        auc: Fixed pipeline on the release.
        raw_auc: Fixed pipeline on raw data.
        best_raw_auc: Best of L1 and L2 with C cross-validated on training people, on raw data.
    """

    auc: float
    raw_auc: float
    best_raw_auc: float

    @property
    def ratio(self) -> float:
        """Released AUC / raw AUC, the same pipeline."""
        return self.auc / self.raw_auc

    @property
    def chance_corrected(self) -> float:
        """(released AUC - 0.5) / (raw AUC - 0.5); 0 where the raw data predict nothing."""
        return (self.auc - 0.5) / (self.raw_auc - 0.5) if self.raw_auc > 0.5 + 1e-9 else 0.0

    @property
    def versus_best_raw(self) -> float:
        """Released AUC (fixed pipeline) / raw AUC of the best tuned model."""
        return self.auc / self.best_raw_auc


def standardise(dosage: Int8, training: NDArray[np.bool_]) -> Float64:
    """Centre and scale each site on training people; missing -> training mean; constant sites are dropped.

    Returns:
        float64[n, sites that vary among training people].
    """
    called = dosage != MASKED
    counted = called & training[:, None]
    people = np.maximum(counted.sum(axis=0), 1)
    values = np.where(called, dosage, 0).astype(np.float64)
    mean = (values * training[:, None]).sum(axis=0) / people
    values = np.where(called, values - mean, 0.0)
    scale = np.sqrt((values[training] ** 2).mean(axis=0))
    varies = scale > 1e-9
    return np.asarray(values[:, varies] / scale[varies])


def _fit_auc(features: Float64, outcome: Outcome, model: Any) -> float:
    if features.shape[1] == 0:
        return 0.5
    train = outcome.training
    model.fit(features[train], outcome.phenotype[train])
    return float(roc_auc_score(outcome.phenotype[~train], model.decision_function(features[~train])))


def _fixed() -> Any:
    return LogisticRegression(C=FIXED_C, max_iter=1000)


def _folds(outcome: Outcome) -> list[Outcome]:
    """The training people alone, split for cross-validation (a fixed split)."""
    phenotype = outcome.phenotype[outcome.training]
    smaller = int(np.bincount(phenotype, minlength=2).min())
    if smaller < 2:
        return []
    folds = StratifiedKFold(min(FOLDS, smaller), shuffle=True, random_state=0)
    result = []
    for train, _ in folds.split(phenotype[:, None], phenotype):
        training = np.zeros(len(phenotype), dtype=bool)
        training[train] = True
        result.append(Outcome(phenotype, training))
    return result


def _cross_validated(dosage: Int8, outcome: Outcome) -> float:
    people = dosage[outcome.training]
    return float(np.mean([_fit_auc(standardise(people, f.training), f, _fixed()) for f in _folds(outcome)] or [0.5]))


def released_auc(released: Int8, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on released records.

    './.' can be read in two ways: as unknown (training mean) or as the panel-major genotype it stands for
    under fill 'major'. The first suits masks that say nothing, the second masks that are themselves the
    message. Where a release holds './.' the recipient takes whichever predicts better in cross-validation
    on training people.
    """
    return _fit_auc(standardise(_read(released, outcome), outcome.training), outcome, _fixed())


def _read(released: Int8, outcome: Outcome) -> Int8:
    if (released == MASKED).any():
        as_major = np.where(released == MASKED, 0, released).astype(np.int8)
        if _cross_validated(as_major, outcome) > _cross_validated(released, outcome):
            return as_major
    return released


def raw_auc(dosage: Int8, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on raw data; missing calls take the training mean."""
    return _fit_auc(standardise(dosage, outcome.training), outcome, _fixed())


def score_auc(score: Float64, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on one number per person."""
    centred = (score - score[outcome.training].mean())[:, None]
    scale = centred[outcome.training].std()
    return _fit_auc(centred / scale if scale > 1e-12 else centred[:, :0], outcome, _fixed())


def best_raw_auc(dosage: Int8, outcome: Outcome) -> float:
    """Held-out AUC on raw data of the best of L1 and L2; penalty and C are chosen on training people."""
    candidates = [(l1, c) for l1 in (0.0, 1.0) for c in CROSS_VALIDATED_C]

    def model(l1: float, c: float) -> Any:
        if l1:
            return LogisticRegression(l1_ratio=1.0, solver="liblinear", C=c, max_iter=1000, random_state=0)
        return LogisticRegression(C=c, max_iter=1000)

    people = dosage[outcome.training]
    reached = np.zeros(len(candidates))
    for fold in _folds(outcome):
        features = standardise(people, fold.training)
        reached += [_fit_auc(features, fold, model(*candidate)) for candidate in candidates]
    best = candidates[int(reached.argmax())]
    return _fit_auc(standardise(dosage, outcome.training), outcome, model(*best))


def outcomes(phenotype: NDArray[np.int8], training: NDArray[np.bool_]) -> tuple[Outcome, ...]:
    """One outcome per declared phenotype.

    Args:
        phenotype: int8[n] or int8[n, D] in {0, 1}.
        training: bool[n].
    """
    columns = phenotype.reshape(len(phenotype), -1)
    return tuple(Outcome(columns[:, d], training) for d in range(columns.shape[1]))


def utility_of(released: Int8, dosage: Int8, outcome: Outcome) -> Utility:
    """Utility of a release for one phenotype, int8[n, S] released and raw."""
    return Utility(released_auc(released, outcome), raw_auc(dosage, outcome), best_raw_auc(dosage, outcome))


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


def calibration(records: Int8, outcome: Outcome) -> Calibration:
    """Calibration of the fixed pipeline on raw or released records, int8[n, S]."""
    train = outcome.training
    truth = outcome.phenotype[~train].astype(np.float64)
    rate = float(outcome.phenotype[train].mean())
    features = standardise(_read(records, outcome), train)
    by_rate = float(((rate - truth) ** 2).mean())
    if features.shape[1] == 0:
        return Calibration(by_rate, by_rate, None)
    model = _fixed().fit(features[train], outcome.phenotype[train])
    chance = model.predict_proba(features[~train])[:, 1]
    odds = model.decision_function(features[~train])
    slope = None
    if odds.std() > 1e-9:
        scale = float(odds.std())
        again = LogisticRegression(C=1e6, max_iter=1000).fit((odds / scale)[:, None], outcome.phenotype[~train])
        slope = float(again.coef_[0, 0]) / scale
    return Calibration(float(((chance - truth) ** 2).mean()), by_rate, slope)


def explained(records: Int8, trait: Float64, training: NDArray[np.bool_]) -> float:
    """R^2 of a quantitative trait on held-out people: squared correlation with the prediction, 0 if negative.

    The linear counterpart of the fixed pipeline: standardised sites, ridge regression with penalty 1 / C.
    './.' takes the training mean, or the panel-major genotype where that fits training people better in
    cross-validation.

    Args:
        records: int8[n, S], raw or released.
        trait: float64[n].
        training: bool[n].
    """
    if (records == MASKED).any():
        as_major = np.where(records == MASKED, 0, records).astype(np.int8)
        half = np.arange(int(training.sum())) % 2 == 0
        people, values = np.flatnonzero(training), trait[training]
        if _ridge(as_major[people], values, half) > _ridge(records[people], values, half):
            records = as_major
    return _ridge(records, trait, training)


def _ridge(records: Int8, trait: Float64, training: NDArray[np.bool_]) -> float:
    features = standardise(records, training)
    if features.shape[1] == 0:
        return 0.0
    model = Ridge(alpha=1 / FIXED_C).fit(features[training], trait[training])
    predicted, truth = model.predict(features[~training]), trait[~training]
    if predicted.std() < 1e-12 or truth.std() < 1e-12:
        return 0.0
    return max(0.0, float(np.corrcoef(predicted, truth)[0, 1])) ** 2
