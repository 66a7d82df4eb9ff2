"""Outcomes of many people, predicted at once: one design for all of them, one fit, equal records counted once.

The fixed pipeline, and its answers up to the tolerance of a solver. One outcome at a time standardises all
genotypes anew and reads them in every step of every fit; here a distinct record is standardised and multiplied once,
however many people show it, and a product serves all outcomes. Designs are float32, what is solved for is float64.

How './.' is read is decided once for all outcomes, on the one of which training people hold most of the rarer class
(the first number, where all are numbers): no held-out person is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from afml.evaluation.attacks.base import MASKED, Float64, Int8, row_blocks
from afml.evaluation.distinct import distinct
from afml.evaluation.utility.calibration import Judged, calibrated, judged
from afml.evaluation.utility.large import SITES
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.pipeline import FIXED_C, explained, with_covariates
from afml.evaluation.utility.selection import ONE_FOLD, as_read, folds, partly_masked

Float32 = NDArray[np.float32]
#: Of a logistic fit: steps at most, what each adds of the one before, the change of log-odds at which it has settled.
STEPS, MOMENTUM, SETTLED = 200, 0.4, 2e-4


def many(outcomes: Sequence[Outcome], sites: int) -> bool:
    """Whether outcomes are predicted at once: many people, and sites of which a Gram matrix is no burden."""
    return sites <= SITES and not outcomes[0].reconstructs and int(outcomes[0].training.sum()) > ONE_FOLD


@dataclass(frozen=True, eq=False)
class Design:
    """Features of people, by the distinct records that they show.

    Attributes:
        shown: float32[u, F], of each distinct record.
        of: int64[n], the one that each person shows.
        beside: float32[n, C], covariates.
    """

    shown: Float32
    of: NDArray[np.int64]
    beside: Float32

    def among(self, people: NDArray[np.bool_], records: int | None = None) -> Design:
        """Some people alone, who show none but the first `records`."""
        return Design(self.shown[:records], self.of[people], self.beside[people])

    @property
    def width(self) -> int:
        """Features, covariates among them."""
        return int(self.shown.shape[1] + self.beside.shape[1])

    @cached_property
    def _who(self) -> Any:
        """[u, n]: 1 where a person shows a record."""
        ones = np.ones(len(self.of), dtype=np.float32)
        return csr_array((ones, (self.of, np.arange(len(self.of)))), shape=(len(self.shown), len(self.of)))

    def times(self, weights: NDArray[Any]) -> Float64:
        """float64[n, D], features times weights [width, D]."""
        sites, beside = np.split(weights.astype(np.float32), [self.shown.shape[1]])
        return np.asarray((self.shown @ sites)[self.of] + self.beside @ beside, dtype=np.float64)

    def sums(self, values: NDArray[Any]) -> Float64:
        """float64[width, D], of features over people, each times the person's values [n, D]."""
        values = values.astype(np.float32)
        return np.concatenate([self.shown.T @ (self._who @ values), self.beside.T @ values]).astype(np.float64)

    def gram(self) -> Float64:
        """float64[width, width], products of features, summed over people."""
        count = np.bincount(self.of, minlength=len(self.shown)).astype(np.float32)
        across = self.shown.T @ (self._who @ self.beside)
        whole = np.sqrt(count)[:, None] * self.shown
        own = whole.T @ whole
        return np.block([[own, across], [across.T, self.beside.T @ self.beside]]).astype(np.float64)


def designed(records: Int8 | Float64, outcome: Outcome) -> tuple[Design, int]:
    """(the design of everybody, records that training people show: they come first).

    Args:
        records: int8[n, S], or float64[n, scores] that they tell.
        outcome: Who trains, and covariates.
    """
    genotypes = records.dtype == np.int8
    found, of = distinct(records.astype(np.int8, copy=False)) if genotypes else (records, np.arange(len(records)))
    counts = np.bincount(of[outcome.training], minlength=len(found))
    order = np.argsort(counts == 0, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    made: Callable[[Any, Float64], Float32] = _sites if genotypes else _scores
    beside = with_covariates(np.empty((len(records), 0), dtype=np.float32), outcome)
    shown = made(found[order], counts[order].astype(np.float64))
    return Design(shown, place[of], beside.astype(np.float32, copy=False)), int((counts > 0).sum())


def _sites(records: Int8, counts: Float64) -> Float32:
    """float32[u, sites that vary among training people], as `standardise` has it of people, `counts` of each record."""
    called, total, squares = np.zeros((3, records.shape[1]))
    for part in row_blocks(records):
        some, weight = records[part], counts[part].astype(np.float32)
        values = np.maximum(some, 0).astype(np.float32)
        called += weight @ (some != MASKED).astype(np.float32)  # whole numbers below 2^24: exact
        total += weight @ values
        squares += weight @ np.square(values)
    mean = total / np.maximum(called, 1)
    scale = np.sqrt(np.maximum(squares - total * mean, 0) / counts.sum())
    varies = np.flatnonzero(scale > 1e-6)  # of whole numbers, the least there is is one person's: 1 / sqrt(people)
    shown = np.empty((len(records), len(varies)), dtype=np.float32)
    for part in row_blocks(records):
        some = records[part][:, varies]
        values = (some - mean[varies].astype(np.float32)) * (some != MASKED)
        shown[part] = values / scale[varies].astype(np.float32)
    return shown


def _scores(scores: Float64, counts: Float64) -> Float32:
    """float32[n, scores that vary among training people], as `features_of` has them; `counts` is 1 of these."""
    columns = scores.reshape(len(scores), -1)
    centred = columns - np.average(columns, axis=0, weights=counts)
    scale = np.sqrt(np.average(centred**2, axis=0, weights=counts))
    varies = scale > 1e-12
    return np.asarray(centred[:, varies] / scale[varies], dtype=np.float32)


def _logistic(design: Design, truth: Float64, size: float) -> Float64:
    """float64[width + 1, D]: coefficients, then intercepts, of L2 logistic regression of every column of truth [n, D].

    A quarter of the Gram matrix bounds the curvature of every logistic loss (Boehning, Lindsay 1988): one
    factorisation serves all steps of all columns, each to the least of the bound, with a little momentum. Features are
    centred on the people of the design, so that intercepts move by themselves.
    """
    bound = design.gram() / 4
    bound[np.diag_indices_from(bound)] += 1 / size
    factor = cho_factor(bound, overwrite_a=True, check_finite=False)
    now = ahead = np.zeros((design.width + 1, truth.shape[1]))
    odds = odds_ahead = np.zeros(truth.shape)
    for _ in range(STEPS):
        wrong = truth - expit(odds_ahead)
        slope = design.sums(wrong) - ahead[:-1] / size
        after = ahead + np.concatenate([cho_solve(factor, slope, check_finite=False), 4 * wrong.mean(axis=0)[None, :]])
        odds_after = design.times(after[:-1]) + after[-1]
        change = float(np.abs(odds_after - odds).max())
        ahead, odds_ahead = after + MOMENTUM * (after - now), odds_after + MOMENTUM * (odds_after - odds)
        now, odds = after, odds_after
        if change < SETTLED:
            break
    return now


def _ridge(design: Design, truth: Float64, size: float) -> Float64:
    """float64[width + 1, D]: the same of ridge regression; features are centred on the people of the design."""
    mean = truth.mean(axis=0)
    gram = design.gram()
    gram[np.diag_indices_from(gram)] += 1 / size
    return np.concatenate([np.linalg.solve(gram, design.sums(truth - mean)), mean[None, :]])


def predicted(records: Int8 | Float64, outcomes: Sequence[Outcome], size: float = FIXED_C) -> list[Float64]:
    """Log-odds, or values, of held-out people for every outcome: float64[held-out people] each.

    Args:
        records: As they are read, int8[n, S]; or float64[n, scores] that they tell.
        outcomes: With the same split and covariates.
        size: C of the penalty.
    """
    training = outcomes[0].training
    design, seen = designed(records, outcomes[0])
    fitted_on, asked = design.among(training, seen), design.among(~training)
    found: list[Float64] = [np.empty(0)] * len(outcomes)
    for fit, numbers in ((_logistic, False), (_ridge, True)):
        which = [k for k, one in enumerate(outcomes) if one.quantitative == numbers]
        if which:
            truth = np.stack([outcomes[k].phenotype[training] for k in which], axis=1).astype(np.float64)
            weights = fit(fitted_on, truth, size)
            told = asked.times(weights[:-1]) + weights[-1]
            for column, k in zip(told.T, which, strict=True):
                found[k] = column
    return found


def as_read_by_all(records: Int8 | Float64, outcomes: Sequence[Outcome]) -> Int8 | Float64:
    """Released records with './.' as recipients read it: one decision for all outcomes; scores as they are."""
    if records.dtype != np.int8 or not partly_masked(records.astype(np.int8, copy=False)):
        return records
    fold = folds(_deciding(outcomes))[:1]
    if not fold:
        return records
    as_major = np.maximum(records, 0)
    people = outcomes[0].training
    unknown, major = (_reached(predicted(read[people], fold), fold)[0] for read in (records, as_major))
    return as_major if major > unknown else records


def _deciding(outcomes: Sequence[Outcome]) -> Outcome:
    """The binary outcome of which training people hold most of the rarer class, else the first."""

    def rarer(one: Outcome) -> int:
        return 0 if one.quantitative else int(np.bincount(one.phenotype[one.training], minlength=2).min())

    return max(outcomes, key=rarer)


def _reached(told: Sequence[Float64], outcomes: Sequence[Outcome]) -> list[float]:
    """Held-out AUC, or R^2, of predictions."""
    truth = [one.phenotype[~one.training] for one in outcomes]
    return [
        explained(known, values) if one.quantitative else float(roc_auc_score(known, values))
        for one, known, values in zip(outcomes, truth, told, strict=True)
    ]


def reached_by_all(released: Int8 | Float64, outcomes: Sequence[Outcome]) -> Float64:
    """float64[outcomes], held-out AUC of the fixed pipeline on released records."""
    return np.array(_reached(predicted(as_read_by_all(released, outcomes), outcomes), outcomes))


def judged_by_all(records: Int8 | Float64, outcomes: Sequence[Outcome]) -> list[Judged]:
    """What `judged` makes of records as they are read, of every outcome."""
    told = predicted(records, outcomes)
    return [
        Judged(auc, values, None if one.quantitative else calibrated(expit(values), values, one))
        for one, values, auc in zip(outcomes, told, _reached(told, outcomes), strict=True)
    ]


def judged_each(records: Int8 | Float64, outcomes: Sequence[Outcome], *, released: bool) -> list[Judged]:
    """What the fixed pipeline makes of records, of every outcome: at once where there are many people.

    Args:
        records: int8[n, S]; or float64[n, scores] that they tell.
        outcomes: With the same split and covariates.
        released: Whether './.' can be a mask, and is read as a recipient would; of raw records it is a missing call.
    """
    if many(outcomes, records.reshape(len(records), -1).shape[1]):
        return judged_by_all(as_read_by_all(records, outcomes) if released else records, outcomes)
    return [judged(as_read(records, one) if released else records, one) for one in outcomes]
