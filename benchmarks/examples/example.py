"""An example as its README has it: what is prepared, what is configured, how a model is scored."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from afml.cli.configure import configure as configure_verb
from afml.cli.prepare import prepare as prepare_verb
from afml.core.config import Settings, read_settings
from afml.data.kind import DATA_KINDS
from afml.training.planning import Rounds, Terms

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INSTITUTIONS = 5
_TERMS = {"ple": "ple_sigma", "budget": "budget_sigma", "name": "name"}

Metric = Callable[[torch.Tensor, NDArray[np.float64]], float]
"""(predictions [people, outputs], targets [people]) -> a score; larger is better."""


@dataclass(frozen=True)
class Freely:
    """How the model is trained without privacy, pooled: Adam on shuffled batches.

    Attributes:
        passes: Over everybody.
        rate: Learning rate.
        decay: Weight decay.
        batch: People of a batch.
    """

    passes: int
    rate: float
    decay: float = 0.0
    batch: int = 64


@dataclass(frozen=True)
class Example:
    """One of the folders of `examples`.

    Attributes:
        name: Of the folder and of the task.
        metric: Name of the score.
        score: Computes it.
        freely: Training without privacy.
        root: The folder.
        draws: Trainings of each way in one seed, whose scores are averaged: same people, other batches and noise.
    """

    name: str
    metric: str
    score: Metric
    freely: Freely
    root: Path
    draws: int = 1

    def command(self, block: str) -> list[str]:
        """The words of a command line in the README, block "prepare" or "configure", `afml` included."""
        found = re.search(rf"```sh {block}\n(.*?)```", (self.root / "README.md").read_text(), re.S)
        if found is None:
            raise ValueError(f"no block {block} in the README of {self.name}")
        return shlex.split(found[1].replace("\\\n", " "))

    def options(self, data: Path, node: int) -> tuple[str, Settings]:
        """(kind of data, what it is told) at one institution.

        Args:
            data: Where make_data.py wrote.
            node: From 1.
        """
        given = _parsed(prepare_verb, self.command("prepare"))
        kind = DATA_KINDS.get(str(given["data"])).options
        told = {name: given[name] for name in kind.model_fields if given.get(name) is not None}
        for name, value in told.items():
            if isinstance(value, Path):
                inside = value.parts[0] == "data"
                numbered = Path(re.sub(r"-1(?=\.|$)", f"-{node}", value.name))
                told[name] = data / numbered if inside else self.root / value
        return str(given["data"]), kind.model_validate(told)

    def settings(self) -> dict[str, Any]:
        """Of train.toml."""
        return read_settings(self.root / "train.toml")

    def rounds(self) -> Rounds:
        """As the README configures them."""
        given = _parsed(configure_verb, self.command("configure"))
        return Rounds.model_validate(_known(given, Rounds))

    def terms(self) -> Terms:
        """As the README configures them."""
        given = _parsed(configure_verb, self.command("configure"))
        return Terms.model_validate(_known({_TERMS.get(name, name): value for name, value in given.items()}, Terms))


def _parsed(verb: Any, words: list[str]) -> Mapping[str, Any]:
    """The parameters of a command line, by the verb's own parser."""
    context = verb.make_context(words[1], words[2:])
    return dict(context.params)


def _known(given: Mapping[str, Any], model: type[Settings]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in model.model_fields and value is not None}


def auc(predicted: torch.Tensor, target: NDArray[np.float64]) -> float:
    """Area under the ROC curve of a logit."""
    return float(roc_auc_score(target, predicted[:, 0].numpy()))


def accuracy(predicted: torch.Tensor, target: NDArray[np.float64]) -> float:
    """Share of people whose class has the largest logit."""
    return float((predicted.argmax(1).numpy() == target).mean())


def known() -> dict[str, Example]:
    """Name -> example."""
    found = (
        Example("flchain", "AUC", auc, Freely(30, 3e-3), EXAMPLES / "flchain", draws=4),
        Example("digits", "accuracy", accuracy, Freely(40, 3e-3), EXAMPLES / "digits"),
        Example("exomes", "AUC", auc, Freely(30, 3e-3, 1e-2), EXAMPLES / "exomes"),
        Example("adapter", "accuracy", accuracy, Freely(6, 1e-3), EXAMPLES / "adapter"),
    )
    return {example.name: example for example in found}
