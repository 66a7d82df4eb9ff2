"""Saved models: found by their digest, wherever they were put, and opened to predict with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ConfigError
from afml.data.prepared import Prepared
from afml.training.model import CARD_FILE, ArrayModel
from afml.training.registry import find
from afml.training.task import Enrolled, Task, TaskKind


def find_model(digest: str, places: Iterable[Path]) -> ArrayModel:
    """The saved model of a digest.

    Args:
        digest: Hex SHA-256 of a model (`ArrayModel.digest`).
        places: Folders of models, and folders that hold such folders.

    Raises:
        ConfigError: It is in none of them.
        AfmlError: It is there and damaged, and nowhere whole.
    """
    found: AfmlError = ConfigError(
        f"the model {digest[:12]} is not here", where="model", cure="give its folder with `afml node --start-model`"
    )
    for folder in model_folders(places):
        if claimed_digest(folder) == digest:
            try:
                return ArrayModel.load(folder)
            except AfmlError as error:
                found = error
    raise found


def model_folders(places: Iterable[Path]) -> Iterator[Path]:
    """The folders among these, and directly in these, that hold a model, in the order of their names."""
    for place in places:
        for folder in (place, *(sorted(place.iterdir()) if place.is_dir() else ())):
            if (folder / CARD_FILE).is_file():
                yield folder


def claimed_digest(folder: Path) -> str:
    """The digest that a model's card names; "" where it cannot be read."""
    try:
        return str(json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@dataclass(frozen=True)
class Opened:
    """A saved model over an institution's data, ready to predict.

    Attributes:
        run: That made it.
        kind: Of its task.
        task: At the model's parameters.
    """

    run: RunConfig
    kind: TaskKind
    task: Task


def open_model(model: ArrayModel, prepared: Prepared) -> Opened:
    """Open the task of a saved model, at its parameters; another package's task in its sandbox.

    Args:
        model: Its card holds the configuration of its run.
        prepared: Data of the kind that it was trained on.

    Raises:
        ConfigError: The card does not say what it is of; the task is not allowed on these people, not installed here,
            or of other code; or the data are not those that the model is made for.
    """
    run = config_of(model.card)
    if prepared.tasks is not None and run.task.kind not in prepared.tasks:
        raise ConfigError(
            f"is of the task {run.task.kind}, this site's policy allows {' and '.join(prepared.tasks) or 'none'}",
            where="model",
            cure="add it to run.tasks of policy.toml, if this site wants it",
        )
    task = find(run.task.kind, where="model")
    if not task.own and task.code != run.task.code:
        raise ConfigError(
            f"its task {run.task.kind} {run.task.version} was of code {run.task.code[:12]}; {task.code[:12]} "
            f"({task.version}) is installed here",
            where="model",
            cure="install the version that it was trained with",
        )
    if prepared.data != run.data:
        raise ConfigError(
            f"is made for the data {run.data.named}, these are {prepared.data.named}",
            where="model",
            cure="prepare the data with the same schema or panel",
        )
    kind, run = task.load(prepared), _to_predict(run)
    opened = kind.task(run, prepared.public)
    opened.load_model(model.arrays)
    return Opened(run, kind, opened)


def _to_predict(run: RunConfig) -> RunConfig:
    """The run without what is of training alone: code that may not clip people by itself may predict all the same."""
    if run.task.settings.get("ghost") is not True:
        return run
    task = run.task.model_copy(update={"settings": {**run.task.settings, "ghost": False}})
    return run.model_copy(update={"task": task})


def config_of(card: Mapping[str, Any]) -> RunConfig:
    """The configuration of the run that made a model.

    Raises:
        ConfigError: The card does not hold one.
    """
    try:
        return RunConfig.model_validate(card["config"])
    except (KeyError, ValidationError):
        raise ConfigError(
            "does not say what run made it, so its task cannot be opened",
            where="model",
            cure="give a model of a task that predicts, made by this version of AFML",
        ) from None


def predict_all(task: Task, enrolled: Enrolled) -> NDArray[np.float64]:
    """What a task says of everybody, [rows, outputs], a micro-batch at a time.

    Raises:
        ConfigError: This kind of task predicts nothing.
    """
    at_once, people = task.people_at_once(0), np.arange(len(enrolled))
    parts = [task.predict(enrolled, people[start : start + at_once]) for start in range(0, len(people), at_once)]
    return np.concatenate(parts) if parts else np.zeros((0, 1))
