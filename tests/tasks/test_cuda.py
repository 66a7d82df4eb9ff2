"""On a CUDA device, where there is one: the gradients of the CPU to a stated tolerance, and the same exact bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from afml.tasks import moduletask
from afml.tasks.moduletask import ModuleTask
from afml.training.clipping import clipped_part
from afml.training.step import Trainer
from crypto.public.random import source
from tests.tasks.modules import IMAGES, Any_, people_of, run_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

PEOPLE = 20
#: Of the largest number of a sum: cuDNN may take products of convolutions in TF32.
TOLERANCE = 2e-3


def _cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 2))


KIND = Any_(_cnn, lambda p, t: cross_entropy(p, t[:, 0].long(), reduction="none"))


@pytest.mark.parametrize("ghost", [False, True])
def test_a_sum_is_the_cpus(monkeypatch: pytest.MonkeyPatch, ghost: bool) -> None:
    run, enrolled, who = run_of(IMAGES, ghost=ghost), people_of(IMAGES), np.arange(PEOPLE)
    found = Trainer(run, ModuleTask(KIND, run), enrolled).clipped_sum(0, who, source(1))
    monkeypatch.setattr(moduletask, "device", lambda: torch.device("cpu"))
    expected = Trainer(run, ModuleTask(KIND, run), enrolled).clipped_sum(0, who, source(1))
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_the_bound_is_exact() -> None:
    run, enrolled = run_of(IMAGES), people_of(IMAGES)
    for person in range(PEOPLE):
        part = clipped_part(ModuleTask(KIND, run), 0, 1e-4, enrolled, np.array([person]), source(1))
        assert np.linalg.norm(part) <= 1e-4


def test_batch_and_noise_are_not_the_devices() -> None:
    """Whatever computes the gradients, who is drawn and the noise come from the run's own generator."""
    run, enrolled = run_of(IMAGES).model_copy(update={"seed": 5}), people_of(IMAGES)
    first = Trainer(run, ModuleTask(KIND, run), enrolled).private_update(0, source(5, "x"), 1e6)
    noise = 1e6 * source(5, "x").child("noise").normal(len(first))
    assert np.linalg.norm(first - noise) <= PEOPLE * run.phases[0].clip_norm * (1 + 1e-6)
