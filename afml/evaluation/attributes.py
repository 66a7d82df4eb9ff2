"""What a release tells of attributes: of which class everybody is, whether it may tell that or not.

A recipient who knows the class of the training people learns a classifier from their released records and names the
class of held-out people. What counts is how much oftener that is right than naming the commonest class: of an attribute
that was declared beside the traits, what it was released for; of any other one, what it gives away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.distinct import distinct
from afml.evaluation.report import AttributeRow
from afml.evaluation.rr import interval
from afml.evaluation.utility.pipeline import standardise

#: Penalties that are tried on training people, and parts of them that are each held out once.
PENALTIES, FOLDS = (0.001, 0.01, 0.1), 3
_MARGIN = 1e-9
Features = NDArray[np.float64] | NDArray[np.float32]
Classifier = Callable[[NDArray[np.bool_]], NDArray[np.int64]]
"""bool[n], whom to learn from -> int64[n], everybody's class as it names it."""


@dataclass(frozen=True, eq=False)
class Known:
    """One attribute of all private people.

    Attributes:
        name: Of its column.
        classes: Names of the classes.
        people: int64[n], everybody's class; -1 where it is not known.
        allowed: Whether the run declares that the release may tell it.
    """

    name: str
    classes: tuple[str, ...]
    people: NDArray[np.int64]
    allowed: bool = False

    def askable(self, training: NDArray[np.bool_]) -> bool:
        """Whether training people are of two classes or more, and the class of somebody held out is known."""
        named = self.people >= 0
        return len(np.unique(self.people[named & training])) > 1 and bool((named & ~training).any())

    def of(self, rows: NDArray[np.int64] | slice) -> Known:
        """Of some people alone."""
        return replace(self, people=self.people[rows])


def tells(
    known: Known,
    training: NDArray[np.bool_],
    released: Int8,
    dosage: Int8,
    told: Callable[[Int8], Float64] | None = None,
) -> AttributeRow:
    """Measure what records tell of an attribute, beside what raw genotypes do.

    Args:
        known: The attribute.
        training: bool[n], whose classes the recipient knows; the others are held out.
        released: int8[n, S], records.
        dosage: int8[n, S], raw.
        told: What the codebook table says of records, where recipients learn from that.

    Raises:
        InputError: Of the people whose class is known, some are of no class, or nobody or everybody is held out.
    """
    named = known.people >= 0
    truth, train = known.people[named], training[named]
    if truth.max(initial=0) >= len(known.classes):
        raise InputError(f"somebody is of class {truth.max()} of '{known.name}'", cure="name all classes")
    if not known.askable(training):
        raise InputError(
            f"people of one class of '{known.name}' alone are known, or nobody is held out",
            cure="ask about an attribute that at least two classes of training people have",
        )
    shown, raw = released[named], dosage[named]
    found = {}
    for name, records, numbers in (("released", shown, told), ("raw", raw, None)):
        features = standardise(records, train) if numbers is None else _scaled(numbers(records), train)
        found[name] = (_best(_habits(features, records, truth), truth, train) == truth)[~train]
    commonest = np.bincount(truth[train]).argmax()
    right = found["released"].astype(np.float64)
    return AttributeRow(
        name=known.name,
        classes=known.classes,
        allowed=known.allowed,
        people=len(right),
        base_rate=float((truth[~train] == commonest).mean()),
        accuracy=float(right.mean()),
        accuracy_ci95=interval(right),
        raw_accuracy=float(found["raw"].mean()),
    )


def by_pattern(records: Int8, truth: NDArray[np.int64]) -> Classifier:
    """Names the commonest class of the training people who show the same; of all of them where nobody does."""
    _, pattern = distinct(records)

    def named(learn: NDArray[np.bool_]) -> NDArray[np.int64]:
        counts = np.zeros((int(pattern.max()) + 1, int(truth.max()) + 1))
        np.add.at(counts, (pattern[learn], truth[learn]), 1)
        whole = counts.sum(axis=0)
        return np.asarray((counts + whole / whole.sum() * _MARGIN).argmax(axis=1)[pattern])

    return named


def by_regression(features: Features, truth: NDArray[np.int64], penalty: float) -> Classifier:
    """Multinomial logistic regression with an L2 penalty of 1 / (2 `penalty`)."""

    def named(learn: NDArray[np.bool_]) -> NDArray[np.int64]:
        model: Any = LogisticRegression(C=penalty, max_iter=300)
        if not features.shape[1] or len(np.unique(truth[learn])) < 2:
            return np.full(len(truth), np.bincount(truth[learn]).argmax())
        return np.asarray(model.fit(features[learn], truth[learn]).predict(features))

    return named


def _habits(features: Features, records: Int8, truth: NDArray[np.int64]) -> list[Classifier]:
    return [by_pattern(records, truth), *(by_regression(features, truth, penalty) for penalty in PENALTIES)]


def _best(habits: list[Classifier], truth: NDArray[np.int64], train: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What the classifier says that does best on parts of the training people which it did not learn from."""
    rows = np.flatnonzero(train)
    rare = int(np.bincount(truth[rows])[np.unique(truth[rows])].min())
    hits = np.zeros(len(habits))
    kind, parts = (KFold, FOLDS) if rare < 2 else (StratifiedKFold, min(FOLDS, rare))
    folds = kind(parts, shuffle=True, random_state=0)
    for learn, judge in folds.split(rows, truth[rows]):
        some = np.zeros(len(truth), np.bool_)
        some[rows[learn]] = True
        for index, habit in enumerate(habits):
            hits[index] += np.count_nonzero(habit(some)[rows[judge]] == truth[rows[judge]])
    return habits[int(hits.argmax())](train)


def _scaled(scores: Float64, train: NDArray[np.bool_]) -> Float64:
    values = scores.reshape(len(scores), -1)
    centred = values - values[train].mean(axis=0)
    spread = centred[train].std(axis=0)
    return np.asarray(centred[:, spread > _MARGIN] / spread[spread > _MARGIN])
