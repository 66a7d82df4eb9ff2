"""What cross-validation on training people decides: how './.' is read, and the best model of raw data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from afml.evaluation.attacks.base import MASKED, Float64, Int8, row_blocks
from afml.evaluation.utility.large import Penalty, best_penalties, lasso_aucs, many
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import Floats, features_of, fixed_model, held_out

CROSS_VALIDATED_C = (0.001, 0.01, 0.02, 0.05, 0.1, 0.3)
FOLDS = 3
#: Training people from which on one fold tells how './.' is read as well as three of few people do.
ONE_FOLD = 4096
#: Penalties of the L1 fit to a quantitative trait, in standard deviations of the trait.
LASSO_PENALTIES = (0.01, 0.02, 0.04, 0.08, 0.16)


def released_auc(released: Int8 | Float64, outcome: Outcome) -> float:
    """Held-out AUC of the fixed pipeline on released records, or on scores that they tell.

    './.' can be read in two ways: as unknown (training mean) or as the panel-major genotype it stands for
    under fill 'major'. The first suits masks that say nothing, the second masks that are themselves the
    message. Where a release holds './.' the recipient takes whichever predicts better in cross-validation
    on training people.
    """
    return held_out(features_of(as_read(released, outcome), outcome), outcome, fixed_model(outcome))


def as_read(released: Int8 | Float64, outcome: Outcome) -> Int8 | Float64:
    """Released records with './.' as the recipient reads it; scores as they are."""
    if released.dtype == np.int8 and partly_masked(released.astype(np.int8, copy=False)):
        as_major = np.where(released == MASKED, 0, released).astype(np.int8)
        if _cross_validated(as_major, outcome) > _cross_validated(released, outcome):
            return as_major
    return released


def partly_masked(released: Int8) -> bool:
    """Whether some site is masked in some people and not in others: one that is masked in all is constant, however it
    is read."""
    masked = np.zeros(released.shape[1], dtype=np.int64)
    for part in row_blocks(released):
        masked += np.count_nonzero(released[part] == MASKED, axis=0)
    return bool(((masked > 0) & (masked < len(released))).any())


def best_raw_auc(dosage: Int8, outcome: Outcome, penalty: Penalty | None = None) -> float:
    """Held-out AUC on raw data of the best of L1 and L2; penalty and its size are chosen on training people.

    Args:
        dosage: int8[n, S], raw.
        outcome: What is predicted.
        penalty: Chosen already (`penalties`).
    """
    if penalty is not None:
        return tuned_auc(features_of(dosage, outcome), outcome, penalty)
    best = _best(dosage, outcome)
    return held_out(features_of(dosage, outcome), outcome, _tuned(outcome, *best))


def tuned_auc(features: Floats, outcome: Outcome, penalty: Penalty) -> float:
    """Held-out AUC on features [n, F] with a penalty that was chosen already."""
    l1, size = penalty
    if l1 and not outcome.quantitative:
        return lasso_aucs(features, [outcome], [size])[0]
    return held_out(features, outcome, _tuned(outcome, l1, size))


def penalties(dosage: Int8, outcomes: Sequence[Outcome]) -> list[Penalty | None]:
    """The best penalties of outcomes with the same split, chosen at once where there are many people; else None."""
    if not outcomes or not many(outcomes[0], dosage.shape[1]):
        return [None] * len(outcomes)
    found: list[Penalty | None] = [None] * len(outcomes)
    for kind in (False, True):  # binary and quantitative outcomes have as many candidates, but not the same number
        which = [k for k, one in enumerate(outcomes) if one.quantitative == kind]
        if which:
            some = [outcomes[k] for k in which]
            best = best_penalties(dosage, some, [_candidates(one) for one in some])
            for k, penalty in zip(which, best, strict=True):
                found[k] = penalty
    return found


def _best(dosage: Int8, outcome: Outcome) -> Penalty:
    candidates = _candidates(outcome)
    people = dosage[outcome.training]
    reached = np.zeros(len(candidates))
    for fold in folds(outcome):
        features = features_of(people, fold)
        reached += [held_out(features, fold, _tuned(fold, *candidate)) for candidate in candidates]
    return candidates[int(reached.argmax())]


def _candidates(outcome: Outcome) -> list[Penalty]:
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


def folds(outcome: Outcome) -> list[Outcome]:
    """The training people alone, split for cross-validation (a fixed split)."""
    phenotype = outcome.phenotype[outcome.training]
    smaller = len(phenotype) if outcome.quantitative else int(np.bincount(phenotype, minlength=2).min())
    if smaller < 2:
        return []
    kind = KFold if outcome.quantitative else StratifiedKFold
    splits = kind(min(FOLDS, smaller), shuffle=True, random_state=0)
    result = []
    for train, _ in splits.split(phenotype[:, None], phenotype):
        training = np.zeros(len(phenotype), dtype=bool)
        training[train] = True
        result.append(outcome.among(outcome.training, training))
    return result


def _cross_validated(dosage: Int8 | Float64, outcome: Outcome) -> float:
    people = dosage[outcome.training]
    asked = folds(outcome) if len(people) <= ONE_FOLD else folds(outcome)[:1]
    reached = [held_out(features_of(people, fold), fold, fixed_model(fold)) for fold in asked]
    return float(np.mean(reached or [outcome.chance]))
