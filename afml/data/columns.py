"""Named columns of a table, with the public scale of their numbers."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from afml.core.config import FiniteSettings


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
