"""The people a node trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.data.columns import Trait
from afml.data.people import PeopleTable
from afml.masking.settings import RiskSettings

#: A quantitative trait in units of two spreads has a typical residual of one half, as cases and controls have.
TRAIT_SPREADS = 2.0


@dataclass(frozen=True)
class Enrolled:
    """The enrolled people of one node.

    Attributes:
        dosage: int8 in {0, 1, 2, -1}, [people, sites].
        phenotype: What the risk model predicts, [people] or [people, traits]: int8 in {0, 1}; float64 where a
            trait is quantitative, see `target`.
        covariates: What it predicts with beside genotypes, in spreads about their centres, float32
            [people, covariates]; None for none.
        public: Hex digest of the public data that gradients depend on beside the people.
    """

    dosage: NDArray[np.int8]
    phenotype: NDArray[np.int8] | NDArray[np.float64]
    covariates: NDArray[np.float32] | None = None
    public: str = ""

    def __post_init__(self) -> None:
        if len(self.dosage) != len(self.phenotype):
            raise InputError(
                f"{len(self.dosage)} people have genotypes and {len(self.phenotype)} have a phenotype",
                cure="enrol only people with both",
            )
        if self.covariates is not None and len(self.covariates) != len(self.dosage):
            raise InputError(
                f"{len(self.dosage)} people have genotypes and {len(self.covariates)} have covariates",
                cure="enrol only people with both",
            )

    def __len__(self) -> int:
        return len(self.dosage)

    def __repr__(self) -> str:
        return f"Enrolled({len(self)} people)"

    @property
    def phenotypes(self) -> int:
        """How many traits each person has."""
        return 1 if self.phenotype.ndim == 1 else self.phenotype.shape[1]

    @property
    def extras(self) -> NDArray[np.float32]:
        """The covariates, [people, covariates]; no column where there are none."""
        return np.zeros((len(self), 0), np.float32) if self.covariates is None else self.covariates

    def require_columns(self, traits: int, covariates: int) -> None:
        """Refuse people who were not prepared for a run.

        Raises:
            InputError: They have another number of traits or covariates than the run.
        """
        for held, wanted, what, verb in (
            (self.phenotypes, traits, "phenotypes", "trains"),
            (self.extras.shape[1], covariates, "covariates", "uses"),
        ):
            if held != wanted:
                raise InputError(
                    f"the cohort has {held} {what}, the run {verb} {wanted}",
                    cure="use the phenotype table that the run was agreed for",
                )

    def digest(self) -> str:
        """See `afml.training.task.Enrolled`; made once, the arrays are taken to stay as they are."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(self.public.encode())
        for array in (self.dosage, self.phenotype, self.extras):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def rows(self, people: NDArray[np.int64]) -> Enrolled:
        """Some of the people."""
        covariates = None if self.covariates is None else self.covariates[people]
        return replace(self, dosage=self.dosage[people], phenotype=self.phenotype[people], covariates=covariates)

    def joined(self, other: Enrolled) -> Enrolled:
        """The people of both."""
        covariates = None if self.covariates is None else np.concatenate([self.extras, other.extras])
        return Enrolled(
            np.concatenate([self.dosage, other.dosage]),
            np.concatenate([self.phenotype, other.phenotype]),
            covariates,
            self.public,
        )


def target(values: NDArray[np.float64], trait: Trait, *, where: object = "") -> NDArray[np.int8] | NDArray[np.float64]:
    """What the risk model predicts of one trait, [people].

    Args:
        values: As in the phenotype table.
        trait: Its kind and scale.
        where: The file to blame.

    Returns:
        int8 in {0, 1} of a binary trait; of a quantitative one float64 in [-2, 2], in units of two spreads.

    Raises:
        InputError: A binary trait is something else than 0 or 1; the message counts people and shows no value.
    """
    trait.require_coded(values, where=where)
    if trait.kind == "quantitative":
        return trait.scaled(values) / TRAIT_SPREADS
    return values.astype(np.int8)


def select(
    dosage: NDArray[np.int8], column: Callable[[str], NDArray[np.float64]], risk: RiskSettings, *, where: Path
) -> Enrolled:
    """People as a run wants them: the traits and covariates that it declares, in its order.

    Args:
        dosage: [people, sites].
        column: Name -> the table's column, [people].
        risk: Declares them.
        where: The table, to blame.

    Raises:
        InputError: A column is missing or incomplete, a binary trait is not 0 or 1, or somebody is of no class.
    """
    targets = [target(column(trait.name), trait, where=where) for trait in risk.diseases]
    for attribute in risk.attributes:
        if attribute.source == "people":
            targets += list(attribute.targets(column(attribute.name), where=where).T)
    phenotype: NDArray[np.int8] | NDArray[np.float64] = np.zeros((len(dosage), 0), np.int8)  # of a run without traits
    if len(targets) == 1:
        phenotype = targets[0]
    elif targets:
        mixed = np.stack([values.astype(np.float64) for values in targets], axis=1)
        phenotype = mixed if any(trait.kind == "quantitative" for trait in risk.declared) else mixed.astype(np.int8)
    covariates = None
    if risk.covariates:
        covariates = np.stack([one.scaled(column(one.name)) for one in risk.covariates], axis=1).astype(np.float32)
    return Enrolled(dosage, phenotype, covariates)


def read_columns(people: PeopleTable, risk: RiskSettings, *, where: Path) -> Enrolled:
    """`select` of a whole table without genotypes; held-out people's columns are needed after training.

    Args:
        people: All of an institution.
        risk: Declares the columns.
        where: The table, to blame.

    Raises:
        InputError: As `select`.
    """
    nobody = np.zeros((len(people.samples), 0), np.int8)
    return select(nobody, lambda name: people.columns.column(name, where=where), risk, where=where)
