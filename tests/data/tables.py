"""Tables and schemas for tests, and the slow and obvious way to encode one: cell by cell."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from numpy.typing import NDArray

from afml.data.schema import FARTHEST_SPREADS, Schema, SchemaColumn

EMPTY = ("", "NA", "NaN", "nan", "null", " NA\t")
WORDS = ("red", "green", "blue", "NA", "0", "not known", 'a "b", c', "été")

numbers = st.floats(-1e6, 1e6) | st.integers(-10_000, 10_000).map(float)


class Table(NamedTuple):
    """A table as text."""

    schema: Schema
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@st.composite
def columns(draw: st.DrawFn, name: str) -> SchemaColumn:
    kind = draw(st.sampled_from(["number", "binary", "category"]))
    settings: dict[str, Any] = {"name": name, "kind": kind}
    fill: Any = draw(st.sampled_from([0, 1]))
    if kind == "number" and draw(st.booleans()):
        low, wide = draw(numbers), draw(st.floats(0.5, 1e6))
        settings |= {"low": low, "high": low + wide}
        fill = low
    elif kind == "number":
        settings |= {"centre": draw(numbers), "spread": draw(st.floats(0.5, 1e6))}
        fill = settings["centre"]
    elif kind == "category":
        settings["categories"] = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5, unique=True))
        fill = settings["categories"][-1]
    missing = draw(st.sampled_from(["refuse", "value", "indicator"]))
    return SchemaColumn(**settings, missing=missing, **({} if missing == "refuse" else {"fill": fill}))


def cells(column: SchemaColumn) -> st.SearchStrategy[str]:
    """Text that the column may hold."""
    if column.kind == "category":
        good: st.SearchStrategy[str] = st.sampled_from(column.categories)
    elif column.kind == "binary":
        good = st.sampled_from(["0", "1", "0.0", " 1", "1e0"])
    else:
        good = numbers.map(repr) | st.integers(-100, 100).map(lambda number: f" {number:+d}\t")
    listed = {word for word in EMPTY if word.strip(" \t") in column.categories}
    return good if column.missing == "refuse" else good | st.sampled_from([w for w in EMPTY if w not in listed])


names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6).filter(lambda n: n not in EMPTY)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A schema and a table that keeps to it: columns in another order, one that is not used, repeated people."""
    made = [draw(columns(f"c{number}")) for number in range(draw(st.integers(1, 4)))]
    goal = draw(columns("goal")).model_copy(update={"missing": "refuse", "fill": None})
    schema = Schema(person="who", columns=(*made, goal), targets=("goal",))
    header = draw(st.permutations(["who", "unused", "goal", *(column.name for column in made)]))
    drawn = {"who": names, "unused": st.text("ab\"',;\t\n", max_size=4)}
    drawn |= {column.name: cells(column) for column in schema.columns}
    rows = draw(st.lists(st.tuples(*(drawn[name] for name in header)), min_size=1, max_size=12))
    return Table(schema, tuple(header), rows)


def write_text(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_parquet(path: Path, table: Table) -> Path:
    """The same table with typed columns: numbers as numbers, empty cells as nulls."""
    by_name = {column.name: column for column in table.schema.columns}
    arrays = {}
    for place, name in enumerate(table.header):
        text = [row[place] for row in table.rows]
        if name not in by_name:
            arrays[name] = pa.array(text)
        elif by_name[name].kind == "category":
            kept = by_name[name].categories
            arrays[name] = pa.array([None if _empty(cell, kept) else cell for cell in text], pa.string())
        else:
            arrays[name] = pa.array([None if _empty(cell) else float(cell) for cell in text], pa.float64())
    pq.write_table(pa.table(arrays), path, row_group_size=5)
    return path


class Encoded(NamedTuple):
    people: list[str]
    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    outside: int


def reference(table: Table) -> Encoded:
    """Encode cell by cell."""
    people, features, targets, outside = [], [], [], 0
    for row in table.rows:
        cell = dict(zip(table.header, row, strict=True))
        people.append(cell["who"].strip(" \t"))
        line: list[float] = []
        for column in table.schema.feature_columns:
            values, beyond = _feature(column, cell[column.name])
            line += values
            outside += beyond
        goal = table.schema.target_columns[0]
        word = cell["goal"].strip(" \t")
        if goal.kind == "category":
            targets.append([float(goal.categories.index(word))])
        else:
            value, beyond = _number(goal, float(word))
            targets.append([value])
            outside += beyond
        features.append(line)
    return Encoded(people, np.array(features, np.float32), np.array(targets, np.float32), outside)


def _feature(column: SchemaColumn, cell: str) -> tuple[list[float], int]:
    empty = _empty(cell, column.categories)
    flag = [float(empty)] if column.missing == "indicator" else []
    if column.kind == "category":
        word = str(column.fill) if empty else cell.strip(" \t")
        return [float(word == one) for one in column.categories] + flag, 0
    value, beyond = _number(column, float(str(column.fill) if empty else cell))
    return [value, *flag], beyond


def _number(column: SchemaColumn, value: float) -> tuple[float, int]:
    if column.kind == "binary":
        return value, 0
    if column.low is not None and column.high is not None:
        unit, least, most = (value - column.low) / (column.high - column.low), 0.0, 1.0
    else:
        assert column.centre is not None
        assert column.spread is not None
        unit, least, most = (value - column.centre) / column.spread, -FARTHEST_SPREADS, FARTHEST_SPREADS
    return min(max(unit, least), most), int(not least <= unit <= most)


def _empty(cell: str, kept: Sequence[str] = ()) -> bool:
    word = cell.strip(" \t")
    return word in ("", "NA", "NaN", "nan", "null") and word not in kept
