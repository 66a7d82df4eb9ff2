"""What becomes of a noised sum: SGD with momentum, Adam, and the course of the learning rate.

All of it is post-processing of what a round has released, so it costs no privacy. Every node does it by itself and all
must come to the same bits: sums, products, quotients and square roots of single float64 numbers, which IEEE 754 fixes.
What a system's library computes (powers, cosines) is not used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from afml.tasks.settings import ModuleSettings

Floats = NDArray[np.float64]


class Optimiser:
    """Moves parameters along mean gradients, and remembers what it needs of those before.

    Args:
        settings: Of the task.
        parameters: P.
        rounds: Private rounds of the run.
        learning_rate: Of a round whose share of it is 1.
    """

    def __init__(self, settings: ModuleSettings, parameters: int, rounds: int) -> None:
        self._settings, self._rounds = settings, rounds
        moments = {"sgd": ("momentum",) if settings.momentum else (), "adam": ("first", "second")}[settings.optimiser]
        self._moments = {name: np.zeros(parameters) for name in moments}
        #: Rounds done, and products of so many beta1 and beta2.
        self._counts = np.array([0.0, 1.0, 1.0])

    def step(self, parameters: Floats, gradient: Floats, learning_rate: float) -> Floats:
        """Parameters after one round.

        Args:
            parameters: Before, [P].
            gradient: Noised sum over the expected number of people, [P].
            learning_rate: Of the run's phase.
        """
        rate = learning_rate * rate_share(self._settings, int(self._counts[0]), self._rounds)
        settings = self._settings
        self._counts = self._counts * [1.0, settings.beta1, settings.beta2] + [1.0, 0.0, 0.0]
        if settings.optimiser == "adam":
            return parameters - rate * self._adam(gradient)
        if settings.momentum:
            gradient = self._moments["momentum"] = settings.momentum * self._moments["momentum"] + gradient
        return parameters - rate * gradient

    def _adam(self, gradient: Floats) -> Floats:
        settings, moments = self._settings, self._moments
        moments["first"] = settings.beta1 * moments["first"] + (1.0 - settings.beta1) * gradient
        moments["second"] = settings.beta2 * moments["second"] + (1.0 - settings.beta2) * (gradient * gradient)
        mean, square = moments["first"] / (1.0 - self._counts[1]), moments["second"] / (1.0 - self._counts[2])
        return mean / (np.sqrt(square) + settings.adam_epsilon)

    def arrays(self) -> dict[str, Floats]:
        """All that `load` needs to go on here."""
        return self._moments | {"counts": self._counts}

    def load(self, arrays: dict[str, Floats]) -> None:
        """Inverse of `arrays`; others in it are passed over.

        Raises:
            IntegrityError: Something is missing or of another size.
        """
        known = self.arrays()
        found = {name: arrays.get(name, np.zeros(0)) for name in known}
        if any(found[name].shape != array.shape for name, array in known.items()) or not found["counts"][0] >= 0:
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self._counts = found.pop("counts")
        self._moments = found


def rate_share(settings: ModuleSettings, done: int, rounds: int) -> float:
    """Share of the learning rate that holds in a round.

    Args:
        settings: Schedule and warm-up.
        done: Rounds before it.
        rounds: Of the whole run.
    """
    if done < settings.warmup:
        return (done + 1) / (settings.warmup + 1)
    since, span = done - settings.warmup, max(1, rounds - settings.warmup)
    past = min(1.0, since / span)
    if settings.schedule == "step":
        share = 1.0
        for _ in range(since // settings.step_rounds):
            share *= settings.step_factor
        return share
    left = {"constant": 1.0, "linear": 1.0 - past, "cosine": _half_cosine(past)}[settings.schedule]
    return left if settings.schedule == "constant" else settings.schedule_end + (1.0 - settings.schedule_end) * left


def _half_cosine(past: float) -> float:
    """(1 + cos(pi past)) / 2 for past in [0, 1], to 1e-15: the same bits everywhere, unlike math.cos.

    cos(pi past) = -sin(x) with x = pi (past - 1/2), of which the series has come to rest after fourteen terms.
    """
    x = math.pi * (past - 0.5)
    term = total = x
    for n in range(1, 14):
        term = -term * x * x / ((2 * n) * (2 * n + 1))
        total += term
    return min(1.0, max(0.0, 0.5 - 0.5 * total))
