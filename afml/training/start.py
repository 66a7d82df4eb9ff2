"""Where a run's task begins: at its own first parameters, or at a saved model that the run names by its digest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from afml.training.model import ArrayModel
from afml.training.shelf import find_model
from afml.training.task import Task, TaskKind


def begin(task: Task, run: RunConfig, places: Iterable[Path]) -> None:
    """Give a task the model that its run begins at, if it names one.

    Args:
        task: At its own first parameters; changed in place.
        run: Of that task.
        places: Folders of models, and folders that hold such folders.

    Raises:
        ConfigError: The model is in none of them, or is not one of this task: names or shapes of its arrays differ.
        IntegrityError: It is damaged.
    """
    if run.start:
        task.load_model(find_model(run.start, places).arrays)


def require_fitting(kind: TaskKind, run: RunConfig, model: ArrayModel) -> None:
    """Refuse, at the coordinator, a model that every node would refuse to begin at.

    A kind whose task cannot be made without an institution's public data is not asked: its nodes are.

    Raises:
        ConfigError: It is not a model of this task, or the task begins at none.
    """
    with tempfile.TemporaryDirectory(prefix="afml-") as nothing:
        try:
            task = kind.task(run, Path(nothing))
        except AfmlError:
            return
        task.load_model(model.arrays)
