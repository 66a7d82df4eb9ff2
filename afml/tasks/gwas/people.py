"""The people of a scan: genotypes read from disk by batches, the trait and the covariates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.data.columns import Trait
from afml.data.people import PersonColumns
from afml.tasks.gwas.residual import HALF
from afml.tasks.gwas.settings import GwasSettings

Float64 = NDArray[np.float64]
_CALLS_AT_ONCE = 1 << 26


class Calls(Protocol):
    """Genotypes; `afml.genomics.store.GenotypeStore` is one."""

    def dosage(self, people: NDArray[np.int64]) -> NDArray[np.int8]:
        """Panel-minor dosages in {0, 1, 2, -1} of some people, [people, sites]."""
        ...


@dataclass(frozen=True, eq=False)
class DosageArray:
    """Genotypes that are in memory.

    Attributes:
        values: int8 [people, sites].
    """

    values: NDArray[np.int8] = field(repr=False)

    def dosage(self, people: NDArray[np.int64]) -> NDArray[np.int8]:
        """See `Calls`."""
        return np.asarray(self.values[people])


@dataclass(frozen=True, eq=False)
class ScanPeople:
    """The enrolled people of an institution.

    Attributes:
        calls: Genotypes of everybody there.
        places: Whose of them are enrolled, [people].
        trait: On its scale, [people]: a number in spreads about its centre; -1/2 or 1/2 of a control or a case.
        covariates: In spreads about their centres, [people, covariates].
        sites: How many.
        public: Hex digest of the public data that scores depend on beside the people.
    """

    calls: Calls = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    trait: Float64 = field(repr=False)
    covariates: Float64 = field(repr=False)
    sites: int
    public: str = ""

    def __len__(self) -> int:
        return len(self.places)

    def dosage(self, people: NDArray[np.int64]) -> NDArray[np.int8]:
        """Genotypes of some of the enrolled, [people, sites]."""
        return self.calls.dosage(self.places[people])

    def digest(self) -> str:
        """See `afml.training.task.Enrolled`."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self.public} {self.trait.shape} {self.covariates.shape}".encode())
        for array in (self.trait, self.covariates):
            digest.update(np.ascontiguousarray(array).tobytes())
        step = max(1, _CALLS_AT_ONCE // max(1, self.sites))
        for start in range(0, len(self), step):
            digest.update(self.dosage(np.arange(start, min(start + step, len(self)))).tobytes())
        return digest.hexdigest()


def trait_values(values: Float64, trait: Trait, *, where: object = "") -> Float64:
    """A trait on its scale, [people].

    Raises:
        InputError: A binary trait is something else than 0 or 1; the message counts people and shows no value.
    """
    trait.require_coded(values, where=where)
    if trait.kind == "quantitative":
        return trait.scaled(values)
    return np.asarray(values - HALF)


def columns_of(settings: GwasSettings, columns: PersonColumns, *, where: Path) -> tuple[Float64, Float64]:
    """(trait [people], covariates [people, covariates]) as a run declares them.

    Raises:
        InputError: A column is missing or incomplete, or a binary trait is not 0 or 1.
    """
    trait = trait_values(columns.column(settings.trait.name, where=where), settings.trait, where=where)
    parts = [one.scaled(columns.column(one.name, where=where)) for one in settings.covariates]
    return trait, np.stack(parts, axis=1) if parts else np.zeros((len(trait), 0))
