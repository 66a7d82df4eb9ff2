"""What a release is good for, phenotype by phenotype, and which of them the headline is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.inputs import EvaluationInputs, Institution
from afml.evaluation.utility import Outcome, Utility, outcomes, reconstruction, utility_of


@dataclass(frozen=True, eq=False)
class Measured:
    """One phenotype or trait, and the utility that the release has for it."""

    name: str
    outcome: Outcome
    utility: Utility


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
    found = [(one, utility_of(told, dosage, one)) for one in (*asked.binary, *asked.quantitative)]
    if inputs.components is not None:
        found = [reconstruction(told, dosage, inputs.components(dosage), asked.training)]
    compared = _comparable([utility for _, utility in found], len(asked.binary))
    return Headline(tuple(Measured(name, *one) for name, one in zip(names, found, strict=True)), compared)


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
