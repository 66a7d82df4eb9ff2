"""What a model says of people beside what is known of them: the same for exact and for noised measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.data.prepared import Prepared
from afml.data.schema import SchemaColumn
from afml.data.source import open_source
from afml.training.shelf import predict_all
from afml.training.task import Task

Outcome = Literal["binary", "categorical", "quantitative"]
_OUTCOMES: dict[str, Outcome] = {"binary": "binary", "category": "categorical", "number": "quantitative"}
_CURE = "give a model that was trained on such data"


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers about one outcome, row by row, and the truth.

    Attributes:
        name: Of the outcome, a column of the table.
        outcome: What it is.
        said: Binary: one number a row, the larger the likelier a 1, [rows]; categorical: one number a class, [rows,
            classes]; quantitative: on the outcome's declared scale, [rows].
        truth: 0 or 1, the number of the class, or the value on its declared scale, float64 [rows].
        people: Person of each row, [rows], in [0, n).
    """

    name: str
    outcome: Outcome
    said: NDArray[np.float64]
    truth: NDArray[np.float64]
    people: NDArray[np.int64]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of the rows with which every person counts once, [rows]."""
        return 1.0 / np.bincount(self.people)[self.people]

    @property
    def classes(self) -> int:
        """How many classes a categorical outcome has; 2 of a binary one."""
        return self.said.shape[1] if self.said.ndim == 2 else 2


def answers(task: Task, enrolled: Any, prepared: Prepared) -> list[Answers]:
    """Have a task predict for everybody whose turn it is, and look up what is known of them.

    Args:
        task: At the model's parameters.
        enrolled: The people, as the task wants them.
        prepared: The same people's data: `prepared.enrolled` are they.

    Returns:
        One for each outcome of the table.

    Raises:
        InputError: The data hold no outcomes.
        ConfigError: The model's numbers and the outcomes do not go together.
    """
    source, places = open_source(prepared.folder), prepared.enrolled
    rows = source.rows_of(places)
    truth = np.asarray(source.targets[rows], np.float64)  # [rows, outcomes]
    people = np.repeat(np.arange(len(places)), source.row_counts[places])
    said = predict_all(task, enrolled)
    if len(said) != len(rows) or not np.isfinite(said).all():
        raise ConfigError(
            f"the model gives {len(said)} answers about {len(rows)} rows, or one that is no finite number",
            where="model",
            cure="mend the task's `predict`",
        )
    columns = source.schema.target_columns
    return [
        Answers(column.name, _OUTCOMES[column.kind], _about(said, columns, place), truth[:, place], people)
        for place, column in enumerate(columns)
    ]


def _about(said: NDArray[np.float64], columns: Sequence[SchemaColumn], place: int) -> NDArray[np.float64]:
    """The model's numbers about one outcome.

    One number an outcome, in their order; or, where there is one outcome only, one number a class.
    """
    outputs, kind = said.shape[1], columns[place].kind
    classes = len(columns[place].categories) if kind == "category" else 2
    if len(columns) == 1 and kind != "number" and outputs == classes:
        return said if kind == "category" else said[:, 1] - said[:, 0]
    if outputs == len(columns) and kind != "category":
        return said[:, place]
    raise ConfigError(
        f"the model gives {outputs} numbers a row, which are no answer about '{columns[place].name}'",
        where="model",
        cure=_CURE,
    )


def probabilities(said: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """(probabilities of a 1, whether they were log-odds): numbers that are all in [0, 1] are taken as they are."""
    if len(said) and said.min() >= 0.0 and said.max() <= 1.0:
        return said, False
    return sigmoid(said), True


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0, small) / (1.0 + small)
