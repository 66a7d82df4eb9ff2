"""The utility that a package states: what anybody finds who takes nothing but the package.

Records 0, 2, 4, ... of the file train and records 1, 3, 5, ... are tested; their order is random. The score that the
codebook gives for a trait predicts it. What comes out follows from the released files alone, so that stating it tells
nothing of anybody that they do not; who was trained on and who was held out by the institution stays there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.intervals import auc_of, r2_of
from afml.release.package.traits import TraitsOfPeople

#: Fewest people of either kind (or, of a number, at all) among the tested ones of whom a utility is stated.
_FEWEST = 4


@dataclass(frozen=True)
class Stated:
    """How well a trait is told on the tested half.

    Attributes:
        trait: Its column in phenotypes.tsv.
        measure: Area under the ROC curve, or R^2: the squared correlation.
        value: Of it; None where too few people tell.
        ci95: Its 95 % interval: DeLong's of an AUC, Fisher's of a correlation.
        trained_on: Records.
        tested_on: Records.
    """

    trait: str
    measure: Literal["auc", "r2"]
    value: float | None
    ci95: tuple[float, float] | None
    trained_on: int
    tested_on: int

    def to_json(self) -> dict[str, Any]:
        """As the card has it."""
        return asdict(self)


def stated(people: TraitsOfPeople, scores: NDArray[np.float64]) -> tuple[Stated, ...]:
    """What is stated of every released trait.

    Args:
        people: Released traits, in the order of the records.
        scores: What the codebook says of each record, of these traits, [people, traits].
    """
    tested = np.arange(len(scores)) % 2 == 1
    values = people.told()
    return tuple(
        _of(one.name, bool(one.edges), values[:, at], scores[:, at], tested) for at, one in enumerate(people.traits)
    )


def _of(
    name: str, number: bool, truth: NDArray[np.float64], score: NDArray[np.float64], tested: NDArray[np.bool_]
) -> Stated:
    trained_on, tested_on = int((~tested).sum()), int(tested.sum())
    # One score predicts: what is learned of it, by whatever regression, is its direction.
    about = truth[~tested] - truth[~tested].mean()
    predicted = np.sign(np.round(about @ score[~tested], 9)) * score[tested]
    seen, value, ci95 = truth[tested], None, None
    if not number:
        cases, controls = predicted[seen == 1], predicted[seen == 0]
        if min(len(cases), len(controls)) >= _FEWEST and about.any():
            value, ci95 = auc_of(cases, controls)
    elif tested_on >= _FEWEST and about.any() and seen.std() > 0:
        correlation = float(np.corrcoef(predicted, seen)[0, 1]) if predicted.std() > 0 else 0.0
        value, ci95 = max(0.0, correlation) ** 2, r2_of(correlation, tested_on)
    rounded = None if ci95 is None else (round(ci95[0], 4), round(ci95[1], 4))
    measure: Literal["auc", "r2"] = "r2" if number else "auc"
    return Stated(name, measure, None if value is None else round(value, 4), rounded, trained_on, tested_on)
