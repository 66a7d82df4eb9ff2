"""What a release is good for, phenotype by phenotype, and which of them the headline is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from afml.core.children import in_child, usable_processors
from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.attacks.scoring import SIDE_BY_SIDE_FROM, alone
from afml.evaluation.inputs import EvaluationInputs, Institution
from afml.evaluation.utility import (
    AT_ONCE,
    Calibration,
    Outcome,
    Utility,
    covariate_auc,
    judged_each,
    many,
    outcomes,
    penalties,
    reconstruction,
    utilities_and_calibrations,
    utility_and_calibration,
)


@dataclass(frozen=True, eq=False)
class Measured:
    """One phenotype or trait, and the utility that the release has for it.

    Attributes:
        name: Its own.
        outcome: Of the people on whom utility was measured.
        utility: Found.
        calibration: Of the released and of the raw model; None unless it is binary.
    """

    name: str
    outcome: Outcome
    utility: Utility
    calibration: tuple[Calibration, Calibration] | None = None


@dataclass(frozen=True, eq=False)
class Headline:
    """All that were measured.

    Attributes:
        measured: Binary phenotypes, then quantitative traits.
        compared: Rows of `measured` that headline and baselines are about: the binary ones that raw genotypes
            predict, else the quantitative ones, else (nothing can be compared) the first.
    """

    measured: tuple[Measured, ...]
    compared: tuple[int, ...]

    @property
    def worst(self) -> Measured:
        """The one that is served worst among those compared."""
        return min((self.measured[index] for index in self.compared), key=lambda one: one.utility.served)

    @property
    def phenotypes(self) -> tuple[tuple[Outcome, float], ...]:
        """(outcome, raw AUC) of those compared."""
        return tuple((self.measured[i].outcome, self.measured[i].utility.raw_auc) for i in self.compared)

    def on(self, inputs: EvaluationInputs, asked: Declared, dosage: Int8, released: Int8) -> Headline:
        """Those compared, measured again on some people without tuning any model.

        Args:
            inputs: Components to reconstruct where there is no phenotype.
            asked: What is to be predicted, of these people.
            dosage: int8[n, S], raw.
            released: int8[n, S].
        """
        if inputs.components is not None:
            return measure(inputs, asked, dosage, released)
        told = released if inputs.told is None else inputs.told(released)
        measured = list(self.measured)
        outcomes = [asked.all[index] for index in self.compared]
        shown, true = judged_each(told, outcomes, released=True), judged_each(dosage, outcomes, released=False)
        for index, outcome, auc, raw in zip(self.compared, outcomes, shown, true, strict=True):
            covariates = None if outcome.covariates is None else covariate_auc(outcome)
            utility = Utility(auc.reached, raw.reached, None, covariates, outcome.chance)
            measured[index] = Measured(self.measured[index].name, outcome, utility)
        return Headline(tuple(measured), self.compared)

    def beside(self, free: Sequence[float]) -> Headline:
        """With what `reached_freely` found of every phenotype."""
        both = zip(self.measured, free, strict=True)
        measured = tuple(replace(one, utility=replace(one.utility, free=value)) for one, value in both)
        return replace(self, measured=measured)

    def rows(self, weights: Float64) -> Float64:
        """The weights of those compared, of float64[S] or [D, S] in the order of `measured`."""
        return weights if weights.ndim == 1 else weights[list(self.compared)]


@dataclass(frozen=True, eq=False)
class Declared:
    """What is to be predicted.

    Attributes:
        binary: Phenotypes with cases and controls.
        quantitative: Traits that are numbers.
        training: bool[n], over all institutions; the others are held out.
    """

    binary: tuple[Outcome, ...]
    quantitative: tuple[Outcome, ...]
    training: NDArray[np.bool_]

    @property
    def all(self) -> tuple[Outcome, ...]:
        """Binary ones, then quantitative ones."""
        return (*self.binary, *self.quantitative)

    def of(self, rows: NDArray[np.int64] | slice) -> Declared:
        """Of some people alone."""
        binary, quantitative = (tuple(one.of(rows) for one in kind) for kind in (self.binary, self.quantitative))
        return Declared(binary, quantitative, self.training[rows])


def declared(files: tuple[Institution, ...]) -> Declared:
    """Phenotypes and traits over all institutions.

    Raises:
        InputError: Some institutions hold traits or covariates and some do not, or training or held-out people hold
            no cases or no controls.
    """
    training = np.concatenate([one.enrolled for one in files])
    traits = _columns([one.traits for one in files], "quantitative traits")
    covariates = _columns([one.covariates for one in files], "covariates")
    binary = outcomes(np.concatenate([one.phenotype for one in files]), training, covariates)
    return Declared(binary, () if traits is None else outcomes(traits, training, covariates), training)


def measure(inputs: EvaluationInputs, asked: Declared, dosage: Int8, released: Int8) -> Headline:
    """Measure the release for every phenotype and trait.

    Args:
        inputs: Names, and components to reconstruct where there is no phenotype.
        asked: What is to be predicted.
        dosage: int8[n, S], raw, over all institutions.
        released: int8[n, S].
    """
    names = inputs.names or _unnamed(len(asked.binary), len(asked.quantitative))
    told = released if inputs.told is None else inputs.told(released)
    if inputs.components is not None:
        outcome, utility = reconstruction(told, dosage, inputs.components(dosage), asked.training)
        return Headline((Measured(names[0], outcome, utility),), (0,))
    chosen = penalties(dosage, asked.all)
    if many(asked.all, dosage.shape[1]):
        found = utilities_and_calibrations(told, dosage, asked.all, chosen)
    else:
        work = [partial(utility_and_calibration, told, dosage, *one) for one in zip(asked.all, chosen, strict=True)]
        here = in_child() or len(work) < 2 or dosage.size * len(work) < SIDE_BY_SIDE_FROM
        found = [one() for one in work] if here else alone(work, min(usable_processors(), AT_ONCE))
    measured = tuple(Measured(name, outcome, *one) for name, outcome, one in zip(names, asked.all, found, strict=True))
    return Headline(measured, _comparable([one.utility for one in measured], len(asked.binary)))


def _unnamed(binary: int, quantitative: int) -> tuple[str, ...]:
    """Names of phenotypes that have none; a single one needs none."""
    if binary + quantitative < 2:
        return ("",)
    kinds = (("binary", binary), ("quantitative", quantitative))
    return tuple(f"{kind} {number + 1}" for kind, count in kinds for number in range(count))


def _comparable(utilities: list[Utility], binary: int) -> tuple[int, ...]:
    found = tuple(index for index, utility in enumerate(utilities) if utility.comparable)
    return tuple(index for index in found if index < binary) or found or (0,)


def _columns(given: list[Float64 | None], what: str) -> Float64 | None:
    """One array over all institutions, [people, columns]; None where nobody holds any.

    Raises:
        InputError: Some do and some do not.
    """
    present = [values.reshape(len(values), -1) for values in given if values is not None]
    if present and len(present) != len(given):
        raise InputError(f"some institutions hold {what} and some do not", cure="give them for all")
    return np.concatenate(present) if present else None
