"""What a release is still good for: predicting the phenotype in people who were not trained on.

One fixed pipeline, the same for raw data, for the release and for every baseline: sites standardised on the
training people, L2 logistic regression with scikit-learn's C = 0.01, area under the ROC curve (AUC) on
held-out people. Missing genotypes take the training mean. A release of few sites is not tuned more kindly
than the raw data it is compared with: with so few columns C = 0.01 hardly shrinks the fit (15 people's
worth of loss against a unit penalty), and the AUC depends on ranks alone. Genotypes enter as dosages, as in
an association study, and not as one column a pattern.

A quantitative trait has the linear counterpart: ridge regression with penalty 1 / C, and R^2 on held-out people,
the squared correlation of prediction and trait (0 where it is negative). Functions and fields called `auc` hold this
R^2 for such a trait. Covariates stand beside the genotypes in every fit, raw and released alike; then chance
is what they predict without a genotype.

Where raw genotypes themselves do not predict an outcome on held-out people, a ratio to them says nothing. Such an
outcome is measured, but never compared: it chooses no headline and no baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from afml.core.errors import InputError
from afml.evaluation.attacks.base import MASKED, Float64, Int8

FIXED_C = 0.01
CROSS_VALIDATED_C = (0.001, 0.01, 0.02, 0.05, 0.1, 0.3)
FOLDS = 3
#: Covariates are this many times as long as a site, so that a penalty made for sites hardly shrinks them.
COVARIATE_LENGTH = 10.0
#: An outcome is comparable where raw genotypes add this much AUC or R^2 to chance, or to covariates alone.
COMPARABLE_GAIN = 0.01
#: Penalties of the L1 fit to a quantitative trait, in standard deviations of the trait.
LASSO_PENALTIES = (0.01, 0.02, 0.04, 0.08, 0.16)


@dataclass(frozen=True)
class Outcome:
    """Phenotype and split of the people of a study.

    Attributes:
        phenotype: int8[n] in {0, 1}; float64[n] of a quantitative trait; float64[n, S] of records to reconstruct.
        training: bool[n]; the others are held out.
        covariates: float64[n, C] to predict with beside genotypes; None for none.
    """

    phenotype: NDArray[np.int8] | Float64
    training: NDArray[np.bool_]
    covariates: Float64 | None = None

    @property
    def quantitative(self) -> bool:
        """Whether the phenotype is a number."""
        return self.phenotype.dtype.kind == "f"

    @property
    def reconstructs(self) -> bool:
        """Whether whole records are to be reconstructed and no trait is to be predicted."""
        return self.phenotype.ndim == 2

    @property
    def chance(self) -> float:
        """What predicting nothing reaches: AUC 0.5, or R^2 0."""
        return 0.0 if self.quantitative else 0.5

    def among(self, people: NDArray[np.bool_], training: NDArray[np.bool_]) -> Outcome:
        """Some people alone, split anew; `training` is over them."""
        return Outcome(self.phenotype[people], training, None if self.covariates is None else self.covariates[people])

    def __post_init__(self) -> None:
        if self.quantitative:
            if self.training.all() or not self.training.any():
                raise InputError("nobody trains or nobody is held out", cure="change the share held out")
            return
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
        best_raw_auc: Best of L1 and L2 with C cross-validated on training people, on raw data; None where nothing
            is tuned (`reconstruction`).
        covariates_auc: Fixed pipeline on covariates alone; None where there are none.
        chance: AUC 0.5, or R^2 0.
    """

    auc: float
    raw_auc: float
    best_raw_auc: float | None
    covariates_auc: float | None = None
    chance: float = 0.5

    @property
    def base(self) -> float:
        """What is reached without a genotype: chance, or covariates alone where they reach more."""
        return self.chance if self.covariates_auc is None else max(self.chance, self.covariates_auc)

    @property
    def comparable(self) -> bool:
        """Whether raw genotypes predict the outcome at all: only then does a ratio to them mean something.

        Reconstruction is measured on thousands of genotypes at once: any R^2 above 0 will do.
        """
        return self.raw_auc - self.base >= (1e-9 if self.best_raw_auc is None else COMPARABLE_GAIN)

    @property
    def served(self) -> float:
        """How well the outcome is served beside others: what genotypes add where there are covariates, else `ratio`.

        Covariates lift both terms of a ratio, and those of some outcomes more than those of others.
        """
        return self.ratio if self.covariates_auc is None else self.chance_corrected

    @property
    def ratio(self) -> float:
        """Released AUC / raw AUC, the same pipeline."""
        return share(self.auc, self.raw_auc)

    @property
    def chance_corrected(self) -> float:
        """(released AUC - base) / (raw AUC - base); 0 where the raw genotypes add nothing."""
        return (self.auc - self.base) / (self.raw_auc - self.base) if self.raw_auc > self.base + 1e-9 else 0.0

    @property
    def versus_best_raw(self) -> float | None:
        """Released AUC (fixed pipeline) / raw AUC of the best tuned model; None where nothing is tuned."""
        return None if self.best_raw_auc is None else share(self.auc, self.best_raw_auc)


def share(value: float, raw: float) -> float:
    """value / raw; 0 where raw data explain nothing at all of a quantitative trait."""
    return value / raw if raw > 1e-9 else 0.0


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


def _with_covariates(features: Float64, outcome: Outcome) -> Float64:
    """Append covariates, centred and scaled on training people; constant ones are dropped."""
    if outcome.covariates is None:
        return features
    values = outcome.covariates - outcome.covariates[outcome.training].mean(axis=0)
    scale = values[outcome.training].std(axis=0)
    varies = scale > 1e-9
    return np.hstack([features, COVARIATE_LENGTH * values[:, varies] / scale[varies]])


def _features(dosage: Int8, outcome: Outcome) -> Float64:
    return _with_covariates(standardise(dosage, outcome.training), outcome)


def _held_out(features: Float64, outcome: Outcome, model: Any) -> float:
    """AUC, or R^2, of a model on held-out people."""
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
    if predicted.std() < 1e-12 or truth.std() < 1e-12:
        return 0.0
    return max(0.0, float(np.corrcoef(predicted, truth)[0, 1])) ** 2


def _fixed(outcome: Outcome) -> Any:
    if outcome.quantitative:
        return Ridge(alpha=1 / FIXED_C)
    return LogisticRegression(C=FIXED_C, max_iter=1000)


def _folds(outcome: Outcome) -> list[Outcome]:
    """The training people alone, split for cross-validation (a fixed split)."""
    phenotype = outcome.phenotype[outcome.training]
    smaller = len(phenotype) if outcome.quantitative else int(np.bincount(phenotype, minlength=2).min())
    if smaller < 2:
        return []
    kind = KFold if outcome.quantitative else StratifiedKFold
    folds = kind(min(FOLDS, smaller), shuffle=True, random_state=0)
    result = []
    for train, _ in folds.split(phenotype[:, None], phenotype):
        training = np.zeros(len(phenotype), dtype=bool)
        training[train] = True
        result.append(outcome.among(outcome.training, training))
    return result


def _cross_validated(dosage: Int8, outcome: Outcome) -> float:
    people = dosage[outcome.training]
    reached = [_held_out(_features(people, fold), fold, _fixed(fold)) for fold in _folds(outcome)]
    return float(np.mean(reached or [outcome.chance]))


def released_auc(released: Int8, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on released records.

    './.' can be read in two ways: as unknown (training mean) or as the panel-major genotype it stands for
    under fill 'major'. The first suits masks that say nothing, the second masks that are themselves the
    message. Where a release holds './.' the recipient takes whichever predicts better in cross-validation
    on training people.
    """
    return _held_out(_features(_read(released, outcome), outcome), outcome, _fixed(outcome))


def _read(released: Int8, outcome: Outcome) -> Int8:
    if (released == MASKED).any():
        as_major = np.where(released == MASKED, 0, released).astype(np.int8)
        if _cross_validated(as_major, outcome) > _cross_validated(released, outcome):
            return as_major
    return released


def raw_auc(dosage: Int8, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on raw data; missing calls take the training mean."""
    return _held_out(_features(dosage, outcome), outcome, _fixed(outcome))


def score_auc(score: Float64, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on one number per person."""
    centred = (score - score[outcome.training].mean())[:, None]
    scale = centred[outcome.training].std()
    column = centred / scale if scale > 1e-12 else centred[:, :0]
    return _held_out(_with_covariates(column, outcome), outcome, _fixed(outcome))


def covariate_auc(outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on covariates alone; chance where there are none."""
    none = np.zeros((len(outcome.phenotype), 0))
    return _held_out(_with_covariates(none, outcome), outcome, _fixed(outcome))


def origin(outcome: Outcome) -> float:
    """Where ratios of several outcomes are counted from (`Utility.served`): 0, or `Utility.base` with covariates."""
    return 0.0 if outcome.covariates is None else max(outcome.chance, covariate_auc(outcome))


def best_raw_auc(dosage: Int8, outcome: Outcome) -> float:
    """Held-out AUC on raw data of the best of L1 and L2; penalty and its size are chosen on training people."""
    candidates = _candidates(outcome)
    people = dosage[outcome.training]
    reached = np.zeros(len(candidates))
    for fold in _folds(outcome):
        features = _features(people, fold)
        reached += [_held_out(features, fold, _tuned(fold, *candidate)) for candidate in candidates]
    best = candidates[int(reached.argmax())]
    return _held_out(_features(dosage, outcome), outcome, _tuned(outcome, *best))


def _candidates(outcome: Outcome) -> list[tuple[bool, float]]:
    """(whether L1, size)."""
    if outcome.quantitative:
        return [(False, 1 / c) for c in CROSS_VALIDATED_C] + [(True, penalty) for penalty in LASSO_PENALTIES]
    return [(l1, c) for l1 in (False, True) for c in CROSS_VALIDATED_C]


def _tuned(outcome: Outcome, l1: bool, size: float) -> Any:
    if outcome.quantitative and l1:
        return Lasso(alpha=size * float(outcome.phenotype[outcome.training].std()), max_iter=5000)
    if outcome.quantitative:
        return Ridge(alpha=size)
    if l1:
        return LogisticRegression(l1_ratio=1.0, solver="liblinear", C=size, max_iter=1000, random_state=0)
    return LogisticRegression(C=size, max_iter=1000)


def outcomes(
    phenotype: NDArray[np.int8] | Float64, training: NDArray[np.bool_], covariates: Float64 | None = None
) -> tuple[Outcome, ...]:
    """One outcome per declared phenotype.

    Args:
        phenotype: int8[n] or int8[n, D] in {0, 1}; float64 of quantitative traits.
        training: bool[n].
        covariates: float64[n, C].
    """
    columns = phenotype.reshape(len(phenotype), -1)
    return tuple(Outcome(columns[:, d], training, covariates) for d in range(columns.shape[1]))


def utility_of(released: Int8, dosage: Int8, outcome: Outcome) -> Utility:
    """Utility of a release for one phenotype, int8[n, S] released and raw."""
    return Utility(
        released_auc(released, outcome),
        raw_auc(dosage, outcome),
        best_raw_auc(dosage, outcome),
        None if outcome.covariates is None else covariate_auc(outcome),
        outcome.chance,
    )


def reconstruction(
    released: Int8, dosage: Int8, scores: Float64, training: NDArray[np.bool_]
) -> tuple[Outcome, Utility]:
    """What a release without a declared trait is good for: reconstructing whole records linearly.

    The outcome are all standardised dosages at once; R^2 is the share of their variance in held-out people that
    ridge regression explains, from the released records, and (raw) from as many raw principal components as the
    release was asked to keep. That is no upper bound: all raw genotypes together explain several times as much.

    Args:
        released: int8[n, S].
        dosage: int8[n, S], raw.
        scores: float64[n, components] of the raw records.
        training: bool[n].
    """
    outcome = Outcome(standardise(dosage, training), training)
    centred = scores - scores[training].mean(axis=0)
    raw = _held_out(centred / np.maximum(centred[training].std(axis=0), 1e-12), outcome, _fixed(outcome))
    return outcome, Utility(released_auc(released, outcome), raw, None, chance=outcome.chance)


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
    features = _features(_read(records, outcome), outcome)
    by_rate = float(((rate - truth) ** 2).mean())
    if features.shape[1] == 0:
        return Calibration(by_rate, by_rate, None)
    model = _fixed(outcome).fit(features[train], outcome.phenotype[train])
    chance = model.predict_proba(features[~train])[:, 1]
    odds = model.decision_function(features[~train])
    slope = None
    if odds.std() > 1e-9:
        scale = float(odds.std())
        again = LogisticRegression(C=1e6, max_iter=1000).fit((odds / scale)[:, None], outcome.phenotype[~train])
        slope = float(again.coef_[0, 0]) / scale
    return Calibration(float(((chance - truth) ** 2).mean()), by_rate, slope)
