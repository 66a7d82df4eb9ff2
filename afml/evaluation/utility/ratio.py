"""Utility: what a release reaches beside what raw genotypes reach.

Where raw genotypes themselves do not predict an outcome on held-out people, a ratio to them says nothing. Such an
outcome is measured, but never compared: it chooses no headline and no baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks import scoring
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.intervals import Interval, ratio_interval
from afml.evaluation.utility.calibration import Calibration, Judged, judged
from afml.evaluation.utility.large import Penalty, lasso_aucs
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import Floats, covariate_auc, features_of, fixed_model, held_out, standardise
from afml.evaluation.utility.selection import as_read, best_raw_auc, released_auc, tuned_auc
from afml.evaluation.utility.together import judged_each

T = TypeVar("T")
Calibrations = tuple[Calibration, Calibration] | None
"""Of the released and of the raw model, if the outcome is binary."""
AT_ONCE = 2
"""Models fitted side by side: each holds genotypes as numbers."""
#: An outcome is comparable where raw genotypes add this much AUC or R^2 to chance, or to covariates alone.
COMPARABLE_GAIN = 0.01


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
        free: On as many values as the release has patterns, without genotypes (`free`); None where nobody asked.
        ratio_ci95: 95 % interval of `ratio` over held-out people (`intervals`); None where there is none.
    """

    auc: float
    raw_auc: float
    best_raw_auc: float | None
    covariates_auc: float | None = None
    chance: float = 0.5
    ratio_ci95: Interval | None = None
    free: float | None = None

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


def utility_of(released: Int8 | Float64, dosage: Int8, outcome: Outcome) -> Utility:
    """Utility of a release for one phenotype, int8[n, S] released and raw; or float64[n, scores] that it tells."""
    return utility_and_calibration(released, dosage, outcome)[0]


def utility_and_calibration(
    released: Int8 | Float64, dosage: Int8, outcome: Outcome, penalty: Penalty | None = None
) -> tuple[Utility, Calibrations]:
    """Utility for one phenotype, and the calibration of the released and the raw model if it is binary.

    Args:
        released: int8[n, S], or float64[n, scores] that it tells.
        dosage: int8[n, S], raw.
        outcome: What is predicted.
        penalty: Of the best raw model, where it was chosen already (`penalties`).
    """
    shown, true = judged(as_read(released, outcome), outcome), judged(dosage, outcome)
    return _beside(shown, true, best_raw_auc(dosage, outcome, penalty), outcome)


def utilities_and_calibrations(
    released: Int8 | Float64, dosage: Int8, outcomes: Sequence[Outcome], chosen: Sequence[Penalty | None]
) -> list[tuple[Utility, Calibrations]]:
    """The same for outcomes of many people: what they share is done once, the rest on every processor.

    Args:
        released: int8[n, S], or float64[n, scores] that it tells.
        dosage: int8[n, S], raw.
        outcomes: What is predicted, with the same split and covariates.
        chosen: Of the best raw models, where they were chosen already.
    """
    both = [
        partial(judged_each, released, outcomes, released=True),
        partial(judged_each, dosage, outcomes, released=False),
    ]
    shown, true = _side_by_side(both)
    features = features_of(dosage, outcomes[0])  # seen by all children, made once
    shared = [k for k, penalty in enumerate(chosen) if penalty and penalty[0] and not outcomes[k].quantitative]
    alone = [k for k in range(len(outcomes)) if k not in shared]
    work = [partial(_lasso, features, [outcomes[k] for k in shared], [chosen[k] for k in shared])] if shared else []
    work += [partial(_best, features, dosage, outcomes[k], chosen[k]) for k in alone]
    reached = _side_by_side(work)
    best = dict(zip((*shared, *alone), (auc for some in reached for auc in some), strict=True))
    found = zip(shown, true, (best[k] for k in range(len(outcomes))), outcomes, strict=True)
    return [_beside(*one) for one in found]


def _lasso(features: Floats, outcomes: Sequence[Outcome], chosen: Sequence[Penalty | None]) -> list[float]:
    return lasso_aucs(features, outcomes, [penalty[1] for penalty in chosen if penalty is not None])


def _best(features: Floats, dosage: Int8, outcome: Outcome, penalty: Penalty | None) -> list[float]:
    return [best_raw_auc(dosage, outcome) if penalty is None else tuned_auc(features, outcome, penalty)]


def _side_by_side(work: Sequence[Callable[[], T]]) -> list[T]:
    return [one() for one in work] if in_child() else scoring.alone(work, min(usable_processors(), AT_ONCE))


def _beside(shown: Judged, true: Judged, best: float, outcome: Outcome) -> tuple[Utility, Calibrations]:
    """What is reached on released and on raw records, as a utility."""
    utility = Utility(
        shown.reached,
        true.reached,
        best,
        None if outcome.covariates is None else covariate_auc(outcome),
        outcome.chance,
        ratio_interval(outcome.phenotype[~outcome.training], shown.predicted, true.predicted),
    )
    both = shown.calibration, true.calibration
    return utility, None if both[0] is None or both[1] is None else (both[0], both[1])


def reconstruction(
    released: Int8 | Float64, dosage: Int8, scores: Float64, training: NDArray[np.bool_]
) -> tuple[Outcome, Utility]:
    """What a release without a declared trait is good for: reconstructing whole records linearly.

    The outcome are all standardised dosages at once; R^2 is the share of their variance in held-out people that
    ridge regression explains, from the released records, and (raw) from as many raw principal components as the
    release was asked to keep. That is no upper bound: all raw genotypes together explain several times as much.

    Args:
        released: int8[n, S], or float64[n, scores] that it tells.
        dosage: int8[n, S], raw.
        scores: float64[n, components] of the raw records.
        training: bool[n].
    """
    outcome = Outcome(standardise(dosage, training).astype(np.float64), training)
    centred = scores - scores[training].mean(axis=0)
    raw = held_out(centred / np.maximum(centred[training].std(axis=0), 1e-12), outcome, fixed_model(outcome))
    return outcome, Utility(released_auc(released, outcome), raw, None, chance=outcome.chance)
