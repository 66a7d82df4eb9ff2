"""What becomes of a noised sum: torch's optimisers, computed so that every machine comes to the same bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afml.core.errors import IntegrityError
from afml.tasks.optimisers import Optimiser, rate_share
from afml.tasks.settings import ModuleSettings

ROUNDS, P = 12, 5


def _gradients(seed: int = 1) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(ROUNDS, P)))


def _moved(settings: ModuleSettings, gradients: list[np.ndarray]) -> np.ndarray:
    optimiser, parameters = Optimiser(settings, P, ROUNDS), np.ones(P)
    for gradient in gradients:
        parameters = optimiser.step(parameters, gradient, 0.3)
    return parameters


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({}, lambda p: torch.optim.SGD(p, lr=0.3)),
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9)),
        ({"optimiser": "adam"}, lambda p: torch.optim.Adam(p, lr=0.3)),
        (
            {"optimiser": "adam", "beta1": 0.5, "beta2": 0.7, "adam_epsilon": 0.1},
            lambda p: torch.optim.Adam(p, lr=0.3, betas=(0.5, 0.7), eps=0.1),
        ),
    ],
)
def test_it_is_torchs(settings: dict[str, Any], make: Any) -> None:
    parameter = torch.nn.Parameter(torch.ones(P, dtype=torch.float64))
    reference = make([parameter])
    for gradient in _gradients():
        parameter.grad = torch.from_numpy(gradient.copy())
        reference.step()
    found = _moved(ModuleSettings.model_validate(settings), _gradients())
    np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-12)


def _slow_share(settings: ModuleSettings, done: int, rounds: int) -> float:
    if done < settings.warmup:
        return (done + 1) / (settings.warmup + 1)
    since, end = done - settings.warmup, settings.schedule_end
    past = since / (rounds - settings.warmup)
    return {
        "constant": 1.0,
        "linear": end + (1 - end) * (1 - past),
        "cosine": end + (1 - end) * (1 + math.cos(math.pi * past)) / 2,
        "step": settings.step_factor ** (since // settings.step_rounds),
    }[settings.schedule]


@given(
    schedule=st.sampled_from(["constant", "linear", "cosine", "step"]),
    warmup=st.integers(0, 20),
    rounds=st.integers(1, 60),
    end=st.floats(0, 1),
    steps=st.integers(1, 20),
    done=st.integers(0, 79),
)
def test_the_course_of_the_learning_rate(
    schedule: Any, warmup: int, rounds: int, end: float, steps: int, done: int
) -> None:
    rounds += warmup
    settings = ModuleSettings(
        schedule=schedule, warmup=warmup, schedule_end=end, step_rounds=steps, step_factor=0.6
    )  # fmt: skip
    done = min(done, rounds - 1)
    assert rate_share(settings, done, rounds) == pytest.approx(_slow_share(settings, done, rounds), abs=1e-14)
    assert 0 <= rate_share(settings, done, rounds) <= 1


def test_the_schedule_moves_parameters() -> None:
    falling = ModuleSettings(schedule="linear", warmup=2)
    expected, gradients = np.ones(P), _gradients()
    for done, gradient in enumerate(gradients):
        expected = expected - 0.3 * _slow_share(falling, done, ROUNDS) * gradient
    np.testing.assert_allclose(_moved(falling, gradients), expected, rtol=1e-12)


@pytest.mark.parametrize("settings", [{"optimiser": "adam"}, {"momentum": 0.9, "schedule": "cosine"}, {}])
def test_it_goes_on_where_it_stood_to_the_same_bits(settings: dict[str, Any]) -> None:
    given = ModuleSettings.model_validate(settings)
    first, parameters = Optimiser(given, P, ROUNDS), np.ones(P)
    for gradient in _gradients()[:5]:
        parameters = first.step(parameters, gradient, 0.3)
    second = Optimiser(given, P, ROUNDS)
    second.load({name: array.copy() for name, array in first.arrays().items()} | {"parameters": parameters})
    for gradient in _gradients()[5:]:
        parameters = second.step(parameters, gradient, 0.3)
    assert parameters.tobytes() == _moved(given, _gradients()).tobytes()


@pytest.mark.parametrize("lost", ["first", "second", "counts"])
def test_half_a_state_is_refused(lost: str) -> None:
    optimiser = Optimiser(ModuleSettings(optimiser="adam"), P, ROUNDS)
    arrays = optimiser.arrays()
    with pytest.raises(IntegrityError, match="belongs to another run"):
        optimiser.load({name: array for name, array in arrays.items() if name != lost})
    with pytest.raises(IntegrityError, match="belongs to another run"):
        optimiser.load(arrays | {lost: np.zeros(P + 1)})


def test_momentum_is_for_sgd() -> None:
    with pytest.raises(ValidationError, match="momentum is for optimiser = 'sgd'"):
        ModuleSettings(optimiser="adam", momentum=0.5)
