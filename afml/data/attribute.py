"""Attributes that a release may tell beside diseases: of which class everybody is (super-population, sex, age band)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from afml.core.config import FiniteSettings
from afml.core.errors import InputError
from afml.data.columns import Trait

MOST_CLASSES = 8
#: A column's name is made of both, and no longer than any other's.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,30}$")]


class Attribute(FiniteSettings):
    """A column of the phenotype tables that says which class everybody is of, and which a release may tell.

    The column holds the number of the class, counted from 0; with `edges`, any number, and classes are its bands.
    """

    name: _Name = Field(description="heads the column of every table")
    classes: tuple[_Name, ...] = Field(min_length=2, max_length=MOST_CLASSES, description="their names, by number")
    edges: tuple[float, ...] = Field(default=(), description="where each band but the first begins, ascending")
    source: Literal["people", "components"] = Field(
        default="people",
        description="what tells it: regressions that are trained, or the panel components that the release keeps",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name in ("sample", "role"):
            raise ValueError(f"an attribute cannot be called {self.name!r}; it heads another column")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"attribute {self.name!r} names a class twice")
        if self.edges and len(self.edges) != len(self.classes) - 1:
            raise ValueError(f"attribute {self.name!r} has {len(self.classes)} classes and {len(self.edges)} edges")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError(f"the edges of attribute {self.name!r} do not ascend")
        return self

    @property
    def one_against_rest(self) -> tuple[Trait, ...]:
        """A binary trait for each class; of two classes for the second alone, which says the same."""
        told = self.classes if len(self.classes) > 2 else self.classes[1:]
        return tuple(Trait(name=f"{self.name} {one}") for one in told)

    def numbers(self, values: NDArray[np.float64], *, where: object = "") -> NDArray[np.int64]:
        """Everybody's class, int64 [people].

        Args:
            values: As in the phenotype table, [people].
            where: The file to blame.

        Raises:
            InputError: Not everybody has one; the message counts people and shows no value.
        """
        if self.edges:
            return np.searchsorted(np.array(self.edges), values, side="right").astype(np.int64)
        other = int((~np.isin(values, np.arange(len(self.classes)))).sum())
        if other:
            raise InputError(
                f"column '{self.name}' is no number of a class, 0 to {len(self.classes) - 1}, for {other} of "
                f"{len(values)} people",
                where=where,
                cure="number the classes from 0 in the declared order and run `afml prepare` again, or declare edges",
            )
        return values.astype(np.int64)

    def targets(self, values: NDArray[np.float64], *, where: object = "") -> NDArray[np.int8]:
        """Everybody's value of each trait of `one_against_rest`, int8 [people, traits].

        Raises:
            InputError: As `numbers`.
        """
        first = len(self.classes) - len(self.one_against_rest)
        wanted = np.arange(first, len(self.classes))
        return np.asarray(self.numbers(values, where=where)[:, None] == wanted, dtype=np.int8)
