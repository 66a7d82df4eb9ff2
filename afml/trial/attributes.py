"""Attributes of a trial's people: those that its run declares, and others that somebody asks about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.data.attribute import MOST_CLASSES, Attribute
from afml.data.people import PeopleTable, format_number
from afml.evaluation.attributes import Known
from afml.masking.settings import RiskSettings


def attributes_of(
    risk: RiskSettings, tables: Sequence[PeopleTable], asked: Sequence[str], where: Path
) -> tuple[Known, ...]:
    """Everybody's class: of declared attributes that all tables have a column for, and of those asked about.

    Args:
        risk: Declares attributes.
        tables: Of all institutions.
        asked: Further columns: NAME, or NAME=EDGE,EDGE for bands of a number.
        where: A table, to blame.

    Raises:
        InputError: A column is missing, declared already, or no attribute.
    """
    values = {name: _column(tables, name) for name in {name for table in tables for name in table.columns.names}}
    found = []
    for one in risk.attributes:
        if (column := values.get(one.name)) is not None:
            found.append(_known(one, column, where, allowed=True))
    taken = {trait.name for trait in risk.diseases} | {one.name for one in risk.attributes}
    for words in asked:
        name, _, edges = words.partition("=")
        column = values.get(name)
        if name in taken or column is None:
            problem = "is declared by the run" if name in taken else "is not a column of every institution's table"
            raise InputError(f"'{name}' {problem}", where="--attribute", cure="ask about another column")
        found.append(_known(_undeclared(name, edges, column), column, where, allowed=False))
    return tuple(found)


def _column(tables: Sequence[PeopleTable], name: str) -> NDArray[np.float64] | None:
    """One column over all institutions, NaN where a cell holds no number; None where one of them lacks it."""
    if any(name not in table.columns.names for table in tables):
        return None
    return np.concatenate([table.columns.values[:, table.columns.names.index(name)] for table in tables])


def _known(attribute: Attribute, column: NDArray[np.float64], where: Path, *, allowed: bool) -> Known:
    people = np.full(len(column), -1)
    there = ~np.isnan(column)
    people[there] = attribute.numbers(column[there], where=where)
    return Known(attribute.name, attribute.classes, people, allowed)


def _undeclared(name: str, edges: str, column: NDArray[np.float64]) -> Attribute:
    """The attribute that somebody asks about: of bands, or of as many classes as the column has numbers from 0."""
    try:
        bounds = tuple(float(edge) for edge in edges.split(",") if edge)
        if bounds:
            texts = [format_number(edge) for edge in bounds]
            bands = (f"below {texts[0]}", *(f"from {text}" for text in texts))
            return Attribute(name=name, classes=bands, edges=bounds)
        last = int(np.nanmax(column, initial=0))
        if last >= MOST_CLASSES:
            raise ValueError(f"numbers up to {last} are no classes")
        return Attribute(name=name, classes=tuple(str(number) for number in range(max(2, last + 1))))
    except ValueError:
        raise InputError(
            f"column '{name}' holds no classes numbered from 0 to {MOST_CLASSES - 1}", where="--attribute",
            cure=f"ask for bands of its numbers, for example --attribute '{name}=40,60'",
        ) from None  # fmt: skip
