"""Columns of a table as blocks of the vector: every bound is declared, so it is sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from afml.tasks.release.blocks import Block
from afml.tasks.statistics.settings import ColumnSettings, StatisticsSettings

Cells = Mapping[str, NDArray[np.float64]]
"""Column -> a number for every row, NaN where there is none: a value, 0 or 1, or the place of a category, [rows]."""

MEAN, SQUARE, HISTOGRAM, COUNT, MISSING = "mean", "square", "histogram", "count", "missing"


def block_name(figure: str, *columns: str) -> str:
    """Of the block that holds a figure of one column or of a cross table."""
    return f"{figure}:{' x '.join(columns)}"


def column_blocks(settings: StatisticsSettings, bound: float) -> list[Block]:
    """The blocks of all columns and cross tables; each figure has an equal part of the squared bound.

    Args:
        settings: What is released.
        bound: Of all these blocks together.
    """
    plain = [block for column in settings.columns for block in _column(column)]
    plain += [
        _cells(block_name(COUNT, *table), tuple(settings.column(name).cells for name in table))
        for table in settings.cross
    ]
    each = bound / math.sqrt(max(1, len(plain)))
    return [Block(block.name, block.shape, each, block.centre, each / block.bound, sure=True) for block in plain]


def column_values(
    settings: StatisticsSettings, cells: Cells, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Values of people for `Blocks.rows`: somebody with several rows counts with the mean of them.

    Args:
        settings: What is released.
        cells: Of the rows of these people, person by person.
        rows: How many rows each person has, [people].

    Returns:
        Block -> [people, *shape].
    """
    found: dict[str, NDArray[np.float64]] = {}
    for column in settings.columns:
        values = cells[column.name]
        for name, of_rows in _values(column, values).items():
            found[name] = _by_person(of_rows, rows)
    for table in settings.cross:
        columns = [settings.column(name) for name in table]
        shape = tuple(column.cells for column in columns)
        places = np.zeros(len(cells[table[0]]))
        for column in columns:
            places = places * column.cells + _cell(column, cells[column.name])
        counted = _one_hot(places, math.prod(shape))
        found[block_name(COUNT, *table)] = _by_person(counted, rows).reshape(-1, *shape)
    return found


def _column(column: ColumnSettings) -> list[Block]:
    """The blocks of one column in their natural units, with what nobody can be beyond."""
    blocks = []
    if column.kind == "number":
        if "mean" in column.figures or "variance" in column.figures:
            blocks.append(Block(block_name(MEAN, column.name), (1,), 1.0))  # in halves of the range about its middle
        if "variance" in column.figures:
            blocks.append(Block(block_name(SQUARE, column.name), (1,), 0.5, centre=0.5))
        if "histogram" in column.figures:
            blocks.append(_cells(block_name(HISTOGRAM, column.name), (column.bins,)))
    elif column.kind == "binary":
        blocks.append(Block(block_name(COUNT, column.name), (1,), 0.5, centre=0.5))
    else:
        blocks.append(_cells(block_name(COUNT, column.name), (column.cells,)))
    if column.missing:
        blocks.append(Block(block_name(MISSING, column.name), (1,), 0.5, centre=0.5))
    return blocks


def _cells(name: str, shape: tuple[int, ...]) -> Block:
    """A person is in one cell of many, or, without a value, in none."""
    return Block(name, shape, 1.0)


def _values(column: ColumnSettings, values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Block -> [rows, *shape]; the centre where a row has no value, so that it adds nothing."""
    found = {}
    if column.kind == "number":
        unit = np.clip((values - column.middle) / column.half, -1.0, 1.0)
        if "mean" in column.figures or "variance" in column.figures:
            found[block_name(MEAN, column.name)] = np.nan_to_num(unit, nan=0.0)[:, None]
        if "variance" in column.figures:
            found[block_name(SQUARE, column.name)] = np.nan_to_num(unit * unit, nan=0.5)[:, None]
        if "histogram" in column.figures:
            found[block_name(HISTOGRAM, column.name)] = _one_hot(_cell(column, values), column.bins)
    elif column.kind == "binary":
        found[block_name(COUNT, column.name)] = np.clip(np.nan_to_num(values, nan=0.5), 0.0, 1.0)[:, None]
    else:
        found[block_name(COUNT, column.name)] = _one_hot(values, column.cells)
    if column.missing:
        found[block_name(MISSING, column.name)] = np.isnan(values).astype(np.float64)[:, None]
    return found


def _cell(column: ColumnSettings, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which cell each row falls into; NaN for none."""
    if column.kind != "number":
        return values
    unit = (np.clip(values, column.low, column.high) - (column.low or 0.0)) / (2 * column.half)
    return np.asarray(np.minimum(np.floor(unit * column.bins), column.bins - 1))


def _one_hot(places: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """[rows, cells]: 1 at the place of each row; 0 everywhere where there is none."""
    known = np.flatnonzero(~np.isnan(places))
    found = np.zeros((len(places), cells))
    found[known, places[known].astype(np.int64)] = 1.0
    return found


def _by_person(values: NDArray[np.float64], rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the rows of each person, [people, *shape]; a person has one row at least."""
    counts = np.asarray(rows, np.int64)
    firsts = np.cumsum(counts) - counts
    return np.add.reduceat(values, firsts, axis=0) / counts.reshape(-1, *[1] * (values.ndim - 1))
