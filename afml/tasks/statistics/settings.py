"""What a statistics run releases: columns of tables within declared bounds, and figures of every site."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from afml.core.config import FiniteSettings

SiteFigure = Literal["alleles", "genotypes", "missing"]
SITE_FIGURES: tuple[SiteFigure, ...] = ("alleles", "genotypes", "missing")
ColumnFigure = Literal["mean", "variance", "histogram"]
#: Cells of one table, bins of one histogram: beyond it noise is all that is left.
MOST_CELLS = 10_000


class ColumnSettings(FiniteSettings):
    """One column of which something is released.

    Attributes:
        name: As in the institutions' tables.
        kind: As in their schema. Genotypes come with a table of numbers, where it is `number` or `binary`.
        low: Of a number: what is below counts as this.
        high: Of a number: what is above counts as this.
        categories: Of a category, in order.
        figures: Of a number: its mean, its variance, its histogram (and with it quantiles). Others are counted.
        bins: Of equal width between `low` and `high`.
        missing: Cells may be empty: the people without a value are counted too.
    """

    name: str = Field(min_length=1, max_length=200)
    kind: Literal["number", "binary", "category"] = "number"
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    figures: tuple[ColumnFigure, ...] = Field(default=("mean", "variance", "histogram"), min_length=1)
    bins: int = Field(default=20, ge=2, le=MOST_CELLS)
    missing: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        number = self.kind == "number"
        if number != (self.low is not None) or number != (self.high is not None):
            raise ValueError(f"column {self.name!r}: a number, and nothing else, has a low and a high")
        width = (self.high or 0.0) - (self.low or 0.0)
        if number and not (width > 0 and math.isfinite(width)):
            raise ValueError(f"column {self.name!r}: low is not below high")
        if (self.kind == "category") != bool(self.categories) or len(set(self.categories)) < len(self.categories):
            raise ValueError(f"column {self.name!r}: a category, and nothing else, lists its different categories")
        if not all(word.isprintable() and word == word.strip() for word in (self.name, *self.categories)):
            raise ValueError("columns and categories have no blanks around them and can be printed")
        if len(set(self.figures)) < len(self.figures):
            raise ValueError(f"column {self.name!r}: a figure is named twice")
        return self

    @property
    def cells(self) -> int:
        """Into how many cells it falls where it is counted."""
        return {"number": self.bins, "binary": 2, "category": len(self.categories)}[self.kind]

    @property
    def middle(self) -> float:
        """Of the range of a number."""
        return ((self.low or 0.0) + (self.high or 0.0)) / 2

    @property
    def half(self) -> float:
        """Half the width of the range of a number."""
        return ((self.high or 0.0) - (self.low or 0.0)) / 2

    def labels(self) -> tuple[str, ...]:
        """What each cell is called."""
        if self.kind == "binary":
            return ("0", "1")
        if self.kind == "category":
            return self.categories
        low, width = self.low or 0.0, 2 * self.half / self.bins
        return tuple(f"[{low + i * width:g}, {low + (i + 1) * width:g}{')' if i < self.bins - 1 else ']'}"
                     for i in range(self.bins))  # fmt: skip


class StatisticsSettings(FiniteSettings):
    """Everything that one statistics run releases.

    Attributes:
        sites: Of genotypes, at every site: allele frequencies; genotype frequencies with a test for Hardy-Weinberg
            equilibrium; missing calls. By default all of them where the data are genotypes and no column is named.
        columns: Of tables.
        cross: Cross tables, each over two or three of the columns; numbers fall into their bins.
        quantiles: Of every number with a histogram.
        site_share: Part of the squared bound that sites have beside columns, where there are both.
        most_missing: Share of a person's sites that may be missing before the person counts with less in that figure.
    """

    sites: tuple[SiteFigure, ...] | None = None
    columns: tuple[ColumnSettings, ...] = ()
    cross: tuple[tuple[str, ...], ...] = ()
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    site_share: float = Field(default=0.9, gt=0, lt=1)
    most_missing: float = Field(default=0.02, gt=0, le=1)

    @field_validator("quantiles")
    @classmethod
    def _shares(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in quantiles) or list(quantiles) != sorted(set(quantiles)):
            raise ValueError("quantiles are different shares between 0 and 1, in ascending order")
        return quantiles

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"column {next(name for name in names if names.count(name) > 1)!r} is named twice")
        if self.sites is not None and len(set(self.sites)) < len(self.sites):
            raise ValueError("a figure of sites is named twice")
        if self.sites is not None and "genotypes" in self.sites and "alleles" not in self.sites:
            raise ValueError("genotypes need alleles: genotype frequencies are computed from both")
        if len(set(self.cross)) < len(self.cross):
            raise ValueError("a cross table is named twice")
        for table in self.cross:
            if not 2 <= len(table) <= 3 or len(set(table)) < len(table) or not set(table) <= set(names):
                raise ValueError(f"cross table {' x '.join(table) or '(empty)'!r}: name two or three of the columns")
            cells = math.prod(self.column(name).cells for name in table)
            if cells > MOST_CELLS:
                raise ValueError(f"cross table {' x '.join(table)!r} has {cells} cells, more than {MOST_CELLS}")
        return self

    def column(self, name: str) -> ColumnSettings:
        """The column of a name."""
        return next(column for column in self.columns if column.name == name)

    def site_figures(self, kind: str) -> tuple[SiteFigure, ...]:
        """Figures of sites that are released of data of a kind, in the order of the vector."""
        if self.sites is None:
            return SITE_FIGURES if kind == "genotypes" and not self.columns else ()
        return tuple(figure for figure in SITE_FIGURES if figure in self.sites)
