"""Named columns of a table, with the public scale of their numbers; the traits among them."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from afml.core.config import FiniteSettings
from afml.core.errors import InputError
from afml.data.schema import FARTHEST_SPREADS


class Column(FiniteSettings):
    """A named column of the institutions' phenotype tables, with the public scale of its numbers.

    `centre` and `spread` are about the mean and standard deviation, from the literature or a public data set.
    They are declared, never computed from private people: a statistic of a cohort would have to be paid for.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$", description="heads the column of every table")
    centre: float = 0.0
    spread: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _not_taken(self) -> Self:
        if self.name in ("sample", "role"):
            raise ValueError(f"a column cannot be called {self.name!r}; it heads another one")
        return self

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers in spreads about the declared centre, pulled in to FARTHEST_SPREADS; public numbers only enter."""
        return np.asarray(np.clip((values - self.centre) / self.spread, -FARTHEST_SPREADS, FARTHEST_SPREADS))


class Trait(Column):
    """What a run learns or tests: cases and controls (1 and 0), or a number."""

    kind: Literal["binary", "quantitative"] = "binary"

    @model_validator(mode="after")
    def _scaled(self) -> Self:
        if self.kind == "binary" and (self.centre, self.spread) != (0.0, 1.0):
            raise ValueError(
                f"trait {self.name!r} is binary and has a centre or spread; declare kind = 'quantitative' if it is a "
                "number, or leave them out"
            )
        return self

    def require_coded(self, values: NDArray[np.float64], *, where: object = "") -> None:
        """Refuse numbers that are no cases and controls; of a quantitative trait every number will do.

        Args:
            values: As in the phenotype table, [people].
            where: The file to blame.

        Raises:
            InputError: A binary trait is something else than 0 or 1; the message counts people and shows no value.
        """
        other = int((~np.isin(values, (0, 1))).sum()) if self.kind == "binary" else 0
        if other:
            problem = f"column '{self.name}' is neither 0 nor 1 for {other} of {len(values)} people"
            cure = "code controls as 0 and cases as 1 and run `afml prepare` again, or declare the trait quantitative"
            raise InputError(problem, where=where, cure=cure)
