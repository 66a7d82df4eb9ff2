"""From noised sums to means, variances, counts and quantiles of columns, with their errors.

Elementwise float64 arithmetic alone, so that every node comes to the same bits. Counts are shown as they come: one
below 0 is noise about a small number, and cutting it off would bend every sum of counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.tasks.release.blocks import Estimate
from afml.tasks.statistics.columns import COUNT, HISTOGRAM, MEAN, MISSING, SQUARE, block_name
from afml.tasks.statistics.settings import ColumnSettings, StatisticsSettings

_INTERVAL = 1.96  # standard errors on each side of a quantile's share


@dataclass(frozen=True)
class Figure:
    """One number of the result.

    Attributes:
        of: The column, or the columns of a cross table.
        figure: What it is: `mean`, `count`, `quantile 0.5`, ...
        cell: Which cell of a histogram or table, "" for none.
        value: As released; a count may be negative.
        noise: Standard error against the exact figure of these people; NaN where an interval is given.
        error: The same with these people as a sample; NaN where it is not known.
        low: Lower end of a quantile's 95 % interval, else NaN.
        high: Upper end of it.
    """

    of: str
    figure: str
    cell: str
    value: float
    noise: float
    error: float = math.nan
    low: float = math.nan
    high: float = math.nan


def column_figures(settings: StatisticsSettings, estimates: Mapping[str, Estimate], people: int) -> list[Figure]:
    """All figures of columns and cross tables, in the order of the settings.

    Args:
        settings: What was released.
        estimates: Of the blocks.
        people: Whose sums they are.
    """
    found = []
    for column in settings.columns:
        missing = estimates.get(block_name(MISSING, column.name))
        absent, absent_noise = (float(missing.sum[0]), float(missing.std[0])) if missing else (0.0, 0.0)
        known = max(1.0, people - max(0.0, absent))
        if missing is not None:
            found.append(_count(column.name, "missing", absent, absent_noise, people))
        if column.kind == "number":
            found += _number(column, estimates, known, absent_noise)
            if "histogram" in column.figures:
                found += _quantiles(column, estimates[block_name(HISTOGRAM, column.name)], known, settings.quantiles)
        elif column.kind == "binary":
            ones = estimates[block_name(COUNT, column.name)]
            one = float(ones.deviations[0]) + known / 2
            noise = math.sqrt(float(ones.std[0]) ** 2 + (absent_noise / 2) ** 2)
            found += [
                _count(column.name, "0", known - one, noise, known), _count(column.name, "1", one, noise, known)
            ]  # fmt: skip
        else:
            found += _counts((column,), estimates[block_name(COUNT, column.name)], known)
    for table in settings.cross:
        columns = [settings.column(name) for name in table]
        found += _counts(columns, estimates[block_name(COUNT, *table)], people)
    return found


def _number(
    column: ColumnSettings, estimates: Mapping[str, Estimate], known: float, absent_noise: float
) -> list[Figure]:
    found: list[Figure] = []
    half, name = column.half, column.name
    if "mean" in column.figures or "variance" in column.figures:
        first = estimates[block_name(MEAN, name)]
        m = float(first.deviations[0]) / known
        m_noise = math.sqrt((float(first.std[0]) / known) ** 2 + (m * absent_noise / known) ** 2)
        variance, variance_noise = math.nan, math.nan
        if "variance" in column.figures:
            second = estimates[block_name(SQUARE, name)]
            apart = float(second.deviations[0]) / known
            noise = math.sqrt((float(second.std[0]) / known) ** 2 + (apart * absent_noise / known) ** 2)
            variance = half * half * (0.5 + apart - m * m + m_noise * m_noise)
            variance_noise = half * half * math.sqrt(noise**2 + (2 * m * m_noise) ** 2 + 2 * (m_noise * m_noise) ** 2)
        if "mean" in column.figures:
            noise = half * m_noise
            error = math.sqrt(noise * noise + max(0.0, variance) / known) if not math.isnan(variance) else math.nan
            found.append(Figure(name, "mean", "", column.middle + half * m, noise, error))
        if "variance" in column.figures:
            found.append(Figure(name, "variance", "", variance, variance_noise))
    if "histogram" in column.figures:
        found += _counts((column,), estimates[block_name(HISTOGRAM, name)], known)
    return found


def _counts(columns: Sequence[ColumnSettings], found: Estimate, people: float) -> list[Figure]:
    """A count for each cell of a histogram, a category or a cross table."""
    of = " x ".join(column.name for column in columns)
    labels = [""]
    for column in columns:
        labels = [f"{before}, {label}" if before else label for before in labels for label in column.labels()]
    sums, noises = found.sum.reshape(-1), found.std.reshape(-1)
    return [
        _count(of, label, float(value), float(noise), people)
        for label, value, noise in zip(labels, sums, noises, strict=True)
    ]


def _count(of: str, cell: str, value: float, noise: float, people: float) -> Figure:
    share = min(max(value / people, 0.0), 1.0)
    figure = "missing" if cell == "missing" else "count"
    label = "" if figure == "missing" else cell
    return Figure(of, figure, label, value, noise, math.sqrt(noise * noise + people * share * (1 - share)))


def _quantiles(column: ColumnSettings, found: Estimate, known: float, shares: Sequence[float]) -> list[Figure]:
    """Quantiles by the histogram's cumulated counts, linear inside a bin, with intervals for the noise.

    What the counts add up to is known, so what they are too many or too few is taken off evenly: the noise of the
    share below the end of bin j of k is then std sqrt(j (1 - j/k)) / people.
    """
    bins, counts, std = column.bins, found.sum, float(found.std[0])
    surplus = (math.fsum(counts.tolist()) - known) / bins
    below, noise, total = [0.0], [0.0], 0.0
    for index in range(bins):
        total += float(counts[index]) - surplus
        below.append(total / known)
        noise.append(std * math.sqrt((index + 1) * (1 - (index + 1) / bins)) / known)
    low, width = column.low or 0.0, 2 * column.half / bins
    figures = []
    for share in shares:
        middle, first, last = (
            low + width * _reached([b + by * n for b, n in zip(below, noise, strict=True)], share)
            for by in (0.0, _INTERVAL, -_INTERVAL)
        )
        figures.append(Figure(column.name, f"quantile {share:g}", "", middle, math.nan, low=first, high=last))
    return figures


def _reached(below: Sequence[float], share: float) -> float:
    """Where a curve of cumulated shares, made to rise, reaches a share: in bins from the left end."""
    rising: list[float] = []
    for value in below:
        rising.append(max(value, rising[-1]) if rising else value)
    for index in range(1, len(rising)):
        if rising[index] >= share:
            step = rising[index] - rising[index - 1]
            inside = (share - rising[index - 1]) / step if step > 0 else 0.0
            return index - 1 + min(max(inside, 0.0), 1.0)
    return float(len(rising) - 1)


def figure_arrays(figures: Sequence[Figure]) -> dict[str, NDArray[np.float64]]:
    """The figures as arrays of a model: `columns.value` and so on, in order."""
    names = ("value", "noise", "error", "low", "high")
    return {f"columns.{name}": np.array([getattr(figure, name) for figure in figures], np.float64) for name in names}
