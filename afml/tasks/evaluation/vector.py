"""What every held-out person adds to a federated evaluation: one vector, in bounds that hold whatever the person is.

Binary: the share of the person's rows in each (truth, bin of the model's number). Categorical: in each (true class,
class said). Both are at most 1 long. Quantitative, with truth u and prediction v in [-1, 1] of the declared range:
means over the rows of u, u^2, v, v^2 and uv; about (0, 1/2, 0, 1/2, 0) no such vector is longer than sqrt(7/2):
u^2 + v^2 + u^2 v^2 + (u^2 - 1/2)^2 + (v^2 - 1/2)^2 is largest where u^2 = v^2 = 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from afml.tasks.evaluation.answers import Answers
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.release.blocks import Block, Blocks

MOMENTS = ("u", "uu", "v", "vv", "uv")
NAME = "evaluation"
_CENTRE = np.array([0.0, 0.5, 0.0, 0.5, 0.0])


def blocks_of(settings: EvaluationSettings) -> Blocks:
    """The vector of an evaluation: one block, none of whose bounds is a guess."""
    if settings.outcome == "binary":
        return Blocks(Block(NAME, (2, settings.bins), bound=1.0, sure=True))
    if settings.outcome == "categorical":
        return Blocks(Block(NAME, (settings.classes, settings.classes), bound=1.0, sure=True))
    return Blocks(Block(NAME, (len(MOMENTS),), bound=math.sqrt(3.5), centre=_CENTRE, sure=True))


def vectors(given: Answers, settings: EvaluationSettings) -> NDArray[np.float64]:
    """Everybody's vector.

    Args:
        given: Answers about the outcome of the settings.
        settings: How they are added up.

    Returns:
        float64 [people, *shape of the block].
    """
    shape = blocks_of(settings).blocks[0].shape
    people = int(given.people.max()) + 1 if len(given.people) else 0
    found = np.zeros((people, *shape))
    if settings.outcome == "quantitative":
        np.add.at(found, given.people, given.weights[:, None] * _moments(given, settings))
        return found
    first = given.truth.astype(np.int64)
    second = _bins(given.said, settings) if settings.outcome == "binary" else given.said.argmax(axis=1)
    np.add.at(found, (given.people, first, second), given.weights)
    return found


def _bins(said: NDArray[np.float64], settings: EvaluationSettings) -> NDArray[np.int64]:
    if settings.said == "probability":
        with np.errstate(divide="ignore"):  # a certain 0 or 1 belongs to the first or the last bin
            chance = np.clip(said, 0.0, 1.0)
            said = np.log(chance) - np.log1p(-chance)
    return np.asarray(np.searchsorted(settings.edges, said, side="right"))


def _moments(given: Answers, settings: EvaluationSettings) -> NDArray[np.float64]:
    middle, half = (settings.high + settings.low) / 2, (settings.high - settings.low) / 2
    u, v = (np.clip((values - middle) / half, -1.0, 1.0) for values in (given.truth, given.said))
    return np.stack([u, u * u, v, v * v, u * v], axis=1)
