"""What a saved model says of an institution's people, row by row."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import Role
from afml.core.errors import ConfigError, InputError
from afml.core.files import staged_file
from afml.data.people import format_number
from afml.data.prepared import Prepared
from afml.data.source import open_source
from afml.training.model import ArrayModel
from afml.training.shelf import open_model, predict_all

SCHEMA_FILE = "schema.json"
"""The public schema of the data that a model is made for, beside the model (`node.afterwards`)."""
People = Literal["train", "holdout", "all"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Everybody's rows with what the model says of them.

    Attributes:
        people: Name of the person of each row, [rows].
        rows: Number of the row in the stored data, [rows].
        said: As the task gives them, float64 [rows, outputs].
    """

    people: tuple[str, ...]
    rows: NDArray[np.int64]
    said: NDArray[np.float64]


def predictions(model: ArrayModel, prepared: Prepared, people: People) -> Predictions:
    """Predict; another package's task does in its sandbox.

    Args:
        model: With its card.
        prepared: The institution's data.
        people: Of whom.

    Raises:
        ConfigError: The model cannot be opened over these data, or gives no answer about some row.
        InputError: There is nobody of that kind.
    """
    roles: tuple[Role, ...] = ("train", "holdout") if people == "all" else (people,)
    opened = open_model(model, prepared)
    source = open_source(prepared.folder)
    names, rows, said = [], [], []
    for role in roles:
        part = replace(prepared, role=role)
        places = part.enrolled
        if not len(places):
            continue
        own = source.rows_of(places)
        found = predict_all(opened.task, opened.kind.enrolled(opened.run, part))
        if len(found) != len(own):
            raise ConfigError(f"the task gives {len(found)} answers about {len(own)} rows", where="model")
        for place in places:
            names += [prepared.people.samples[place]] * int(source.row_counts[place])
        rows.append(own)
        said.append(found)
    if not rows:
        raise InputError("nobody is kept out of training here", where="--people", cure="give --people all")
    return Predictions(tuple(names), np.concatenate(rows), np.concatenate(said))


def write_predictions(out: Path, found: Predictions) -> None:
    """Write a TSV, readable by its owner only: person, row (from 1), output1, output2, ..."""
    with staged_file(out) as staged:
        staged.touch(mode=0o600)
        with staged.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, delimiter="\t", lineterminator="\n")
            writer.writerow(["person", "row", *(f"output{number + 1}" for number in range(found.said.shape[1]))])
            for name, row, said in zip(found.people, found.rows.tolist(), found.said.tolist(), strict=True):
                writer.writerow([name, row + 1, *map(format_number, said)])
