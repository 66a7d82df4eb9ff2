"""Made-up people in the form that a schema declares: nobody's data, for trying a task on.

Numbers fill their declared range, and every third cell that may be empty is. A person of a table has one to three rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from afml.api.cohort import Cohort
from afml.core.errors import ConfigError
from afml.core.files import write_bytes
from afml.data.schema import ImageForm, Scale, Schema, SchemaColumn

KINDS = ("table", "array", "images")
_OUTCOME = {"name": "outcome", "kind": "binary"}
_NORMAL = {"centre": 0.0, "spread": 1.0}
_PLAIN: dict[str, dict[str, Any]] = {
    "table": {"columns": [*({"name": f"x{n}", **_NORMAL} for n in range(1, 9)), _OUTCOME]},
    "array": {"array": {"shape": [8], **_NORMAL}, "columns": [_OUTCOME]},
    "images": {"images": {"width": 8, "height": 8, "mode": "L"}, "columns": [_OUTCOME]},
}


def plain_schema(kind: str) -> Schema:
    """A schema for a task that says nothing of its own: eight numbers or so, and a binary outcome.

    Raises:
        ConfigError: No made-up people can be had of that kind of data.
    """
    if kind not in _PLAIN:
        raise ConfigError(
            f"nobody is made up of the kind {kind}", where="synthetic people", cure=f"use one of {', '.join(KINDS)}"
        )
    return Schema.model_validate({**_PLAIN[kind], "targets": ["outcome"]})


def made_up(schema: Schema, folder: Path, *, institutions: int, people: int, seed: int = 1) -> list[Cohort]:
    """Institutions with made-up people.

    Args:
        schema: What their data are like.
        folder: Files are written below it.
        institutions: How many.
        people: Of each.
        seed: Of everything about them.
    """
    declared = folder / "schema.json"
    write_bytes(declared, schema.canonical())
    found = []
    for number in range(1, institutions + 1):
        rng = np.random.default_rng([seed, number])
        rows = rng.integers(1, 4, people) if schema.form == "table" else np.ones(people, np.int64)
        owner = [f"made-up-{number}-{person}" for person, count in enumerate(rows) for _ in range(count)]
        options: dict[str, Any] = _features(schema, folder, f"institution-{number}", len(owner), rng)
        files = [f"{row}.png" for row in range(len(owner))]
        table = folder / f"institution-{number}.csv"
        _write_table(table, schema, owner, files, rng)
        found.append(Cohort(schema.form, table=table, schema=declared, holdout=0.0, **options))
    return found


def _write_table(
    path: Path, schema: Schema, owner: Sequence[str], files: Sequence[str], rng: np.random.Generator
) -> None:
    names = {schema.person: list(owner)}
    if schema.images:
        names[schema.images.file] = list(files)
    columns = [_cells(column, len(owner), rng) for column in schema.columns]
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([*names, *(column.name for column in schema.columns)])
        writer.writerows(zip(*names.values(), *columns, strict=True))


def _cells(column: SchemaColumn, rows: int, rng: np.random.Generator) -> list[str]:
    if column.kind == "category":
        cells = [str(word) for word in rng.choice(np.array(column.categories, dtype=object), rows)]
    elif column.kind == "binary":
        cells = [str(value) for value in rng.integers(0, 2, rows)]
    else:
        cells = [repr(float(value)) for value in _numbers(column, (rows,), rng)]
    if column.missing != "refuse":
        cells = ["" if row % 3 == 0 else cell for row, cell in enumerate(cells)]
    return cells


def _numbers(scale: Scale, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Over the declared range, or about the declared centre; in the column's own unit."""
    if scale.low is not None and scale.high is not None:
        return rng.uniform(scale.low, scale.high, shape)
    return np.asarray((scale.centre or 0.0) + (scale.spread or 1.0) * rng.normal(size=shape).clip(-4, 4))


def _features(schema: Schema, folder: Path, name: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Files of the features that are not in the table, as options of `afml prepare`."""
    if schema.array:
        path = folder / f"{name}.npy"
        np.save(path, _numbers(schema.array, (rows, *schema.array.shape), rng).astype(np.float32))
        return {"features": path}
    if schema.images:
        pictures = folder / name
        pictures.mkdir()
        for row, image in enumerate(_images(schema.images, rows, rng)):
            image.save(pictures / f"{row}.png")
        return {"images": pictures}
    return {}


def _images(form: ImageForm, rows: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    for _ in range(rows):
        pixels = rng.integers(0, 256, (form.height, form.width, len(form.mode)), dtype=np.uint8)
        yield Image.fromarray(pixels if form.mode == "RGB" else pixels[:, :, 0], form.mode)
