"""What the columns of a table mean: declared in public, the same at every institution.

Numbers are scaled by what the schema says and by nothing else. The mean, the spread or the extremes of the people at
hand would be statistics of theirs that nobody accounts for.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from afml.core.config import FiniteSettings

#: A number further from its declared centre than so many declared spreads counts as just so far.
FARTHEST_SPREADS = 4.0
#: Between the name of a column and one of its categories, in the name of a feature.
_IS = "="
_UNKNOWN = " missing"


class Scaled(NamedTuple):
    """Numbers on their declared scale.

    Attributes:
        values: float64, the shape of what was scaled; NaN stays NaN.
        outside: bool, the same shape: where a number was pulled in to the range.
    """

    values: NDArray[np.float64]
    outside: NDArray[np.bool_]


class Scale(FiniteSettings):
    """A public scale: `low` and `high` become 0 and 1; or `centre` becomes 0 and `spread` away from it 1.

    Numbers outside the range, or more than `FARTHEST_SPREADS` from the centre, are pulled in to it.
    """

    low: float | None = None
    high: float | None = None
    centre: float | None = None
    spread: float | None = Field(default=None, gt=0)

    def _complete(self) -> bool:
        """Whether exactly one of the two forms is declared, and whole."""
        given = [value is not None for value in (self.low, self.high, self.centre, self.spread)]
        if given[:2] == [True, True] and given[2:] == [False, False]:
            return self.low < self.high and math.isfinite(self.high - self.low)  # type: ignore[operator]
        return given == [False, False, True, True]

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value on this scale."""
        return (0.0, 1.0) if self.low is not None else (-FARTHEST_SPREADS, FARTHEST_SPREADS)

    def scaled(self, values: NDArray[np.float64]) -> Scaled:
        """Numbers on this scale, each by itself.

        Args:
            values: Any shape; NaN is passed through.
        """
        if self.low is not None and self.high is not None:
            origin, width = self.low, self.high - self.low
        else:
            origin, width = self.centre or 0.0, self.spread or 1.0
        with np.errstate(over="ignore"):  # what overflows is pulled in, too
            unit = (values - origin) / width
        least, most = self.limits
        return Scaled(np.clip(unit, least, most), (unit < least) | (unit > most))


_NEEDS_SCALE = "declare low and high (low below high), or centre and spread"


class SchemaColumn(Scale):
    """A column of the institutions' tables.

    Attributes:
        name: Heads the column in every table.
        kind: `number` (on its declared scale), `binary` (0 or 1) or `category` (one of `categories`).
        categories: All there are, in the order of their features; public.
        missing: What becomes of an empty cell: `refuse` the table; the public `value` of `fill`; or an `indicator`,
            a further feature that is 1 where `fill` stands for an empty cell and 0 elsewhere.
        fill: A number in the column's own unit, 0 or 1, or a category.
    """

    name: str = Field(min_length=1, max_length=200)
    kind: Literal["number", "binary", "category"] = "number"
    categories: tuple[str, ...] = ()
    missing: Literal["refuse", "value", "indicator"] = "refuse"
    fill: float | str | None = None

    @field_validator("categories")
    @classmethod
    def _words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(words)) < len(words) or not all(word and word == word.strip() for word in words):
            raise ValueError("categories are different words without blanks around them")
        return words

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require_plain(self.name)
        if self.kind == "number" and not self._complete():
            raise ValueError(f"column {self.name!r} has no scale: {_NEEDS_SCALE}")
        if self.kind != "number" and {self.low, self.high, self.centre, self.spread} != {None}:
            raise ValueError(f"column {self.name!r} is no number and has no scale")
        if (self.kind == "category") != (len(self.categories) > 0):
            raise ValueError(f"column {self.name!r}: categories are listed for a category, and for nothing else")
        if (self.missing == "refuse") != (self.fill is None):
            raise ValueError(f"column {self.name!r}: give a fill with missing = 'value' or 'indicator', and only then")
        if self.fill is not None and not self._fits(self.fill):
            raise ValueError(f"column {self.name!r}: its fill is not a value that the column may have")
        return self

    def _fits(self, fill: float | str) -> bool:
        if self.kind == "category":
            return fill in self.categories
        if not isinstance(fill, float):
            return False
        return fill in (0, 1) if self.kind == "binary" else not self.scaled(np.array([fill])).outside.any()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what the column becomes as a feature."""
        words = tuple(f"{self.name}{_IS}{word}" for word in self.categories) or (self.name,)
        return (*words, f"{self.name}{_UNKNOWN}") if self.missing == "indicator" else words


class ArrayForm(Scale):
    """An array of features, one item a row of the table: all its numbers are on one scale.

    Attributes:
        shape: Of one item.
    """

    shape: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self._complete():
            raise ValueError(f"has no scale: {_NEEDS_SCALE}")
        if min(self.shape) < 1:
            raise ValueError("shape holds numbers of at least 1")
        return self


class ImageForm(FiniteSettings):
    """Images, one a row of the table, all of one size.

    Attributes:
        width: Pixels.
        height: Pixels.
        mode: `L` is grey, one channel; `RGB` three. Eight bits each, scaled to [0, 1].
        file: Column of the table that names the image, relative to the folder.
    """

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    mode: Literal["L", "RGB"]
    file: str = Field(default="file", min_length=1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        return (len(self.mode), self.height, self.width)


class Schema(FiniteSettings):
    """What institutions agree on about their tables. Its digest is the agreement.

    Attributes:
        person: Column that names the person of a row; a person may have several rows.
        columns: All columns that are used, in the order of their features; others in a table are passed over.
        targets: Names of those that are predicted; the others are features.
        array: Where the features stand in an array beside the table: then all columns are targets.
        images: Where the features are images: then all columns are targets.
    """

    person: str = Field(default="person", min_length=1)
    columns: tuple[SchemaColumn, ...] = ()
    targets: tuple[str, ...] = ()
    array: ArrayForm | None = None
    images: ImageForm | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require_different((*self.keys, *(column.name for column in self.columns)), "column")
        _require_different(self.targets, "target")
        for name in self.keys:
            _require_plain(name)
        for name in self.targets:
            if name not in {column.name for column in self.columns}:
                raise ValueError(f"target {name!r} is none of the columns")
        if any(column.missing != "refuse" for column in self.target_columns):
            raise ValueError("a target cannot be filled in: leave out the rows without it")
        if self.array and self.images:
            raise ValueError("features come from an array or from images, not from both")
        if (self.array or self.images) and self.feature_columns:
            raise ValueError(f"column {self.feature_columns[0].name!r} is no target; the features are elsewhere")
        _require_different(self.features, "feature")
        if not self.shape[0]:
            raise ValueError("there is no feature: declare a column that is no target")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that name something: the person of a row, and its image."""
        return (self.person, *([self.images.file] if self.images else []))

    @property
    def feature_columns(self) -> tuple[SchemaColumn, ...]:
        """Columns of the table that become features."""
        return tuple(column for column in self.columns if column.name not in self.targets)

    @property
    def target_columns(self) -> tuple[SchemaColumn, ...]:
        """Columns that are predicted, in the order of `targets`."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.targets)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that columns of the table become."""
        return tuple(name for column in self.feature_columns for name in column.features)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of features."""
        if self.array:
            return self.array.shape
        return self.images.shape if self.images else (len(self.features),)

    @property
    def form(self) -> str:
        """The kind of data that it describes."""
        return "array" if self.array else "images" if self.images else "table"


def _require_different(names: tuple[str, ...], what: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} {twice!r} is declared twice")


def _require_plain(name: str) -> None:
    if name != name.strip() or not name.isprintable():
        raise ValueError(f"column {name!r} has blanks around it or characters that cannot be printed")
