"""Ghost clipping gives the sum that clipping person by person gives, and its bound holds as closely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from afml.core.errors import IntegrityError
from afml.tasks.module import ModuleKind
from afml.tasks.moduletask import ModuleTask
from afml.training.clipping import clipped_part
from afml.training.ghost import GhostSum, ghost_part
from afml.training.step import Trainer
from crypto.public.random import source
from tests.tasks.modules import IMAGES, TABLE, Any_, gradients_by_hand, layers, people_of, run_of

PEOPLE = 20


class Tokens(nn.Module):
    """Words out of numbers, a sequence of vectors, and one number of them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.mix, self.out = nn.Embedding(3, 5), nn.Linear(5, 7), nn.Linear(28, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        words = self.words((rows * 3).long().clamp(0, 2))  # [rows, 4, 5]
        return self.out(torch.tanh(self.mix(words)).flatten(1))


def _cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 2))


def _image_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return cross_entropy(predicted, target[:, 0].long(), reduction="none")


KINDS: list[tuple[ModuleKind, Any]] = [
    (Any_(layers(nn.Tanh)), TABLE),
    (Any_(layers(lambda: nn.LayerNorm(6))), TABLE),
    (Any_(Tokens), TABLE),
    (Any_(_cnn, _image_loss), IMAGES),
]


@pytest.mark.parametrize("clip_norm", [1e-3, 0.7, 1e3])
@pytest.mark.parametrize(("kind", "data"), KINDS)
def test_the_sum_is_that_of_gradients_clipped_one_by_one(kind: ModuleKind, data: Any, clip_norm: float) -> None:
    run, enrolled = run_of(data, people=PEOPLE, ghost=True), people_of(data, people=PEOPLE)
    who = np.array([3, 1, 4, 15, 9, 2, 6])
    expected = np.zeros(kind.lengths(run)[0])
    for gradient in gradients_by_hand(kind, run, enrolled, who):
        expected += gradient * min(1.0, clip_norm / np.linalg.norm(gradient))
    task = ModuleTask(kind, run)
    ghosts = ghost_part(task, 0, clip_norm, enrolled, who, source(1))
    np.testing.assert_allclose(ghosts, expected, rtol=1e-6, atol=1e-8 * clip_norm)
    rows = clipped_part(task, 0, clip_norm, enrolled, who, source(1))
    np.testing.assert_allclose(ghosts, rows, rtol=1e-3, atol=1e-5 * min(1.0, clip_norm))


@pytest.mark.parametrize(("kind", "data"), KINDS)
def test_nobody_moves_it_by_more_than_the_bound(kind: ModuleKind, data: Any) -> None:
    run, enrolled = run_of(data, people=PEOPLE, ghost=True), people_of(data, people=PEOPLE)
    for person in range(5):
        norm = np.linalg.norm(ghost_part(ModuleTask(kind, run), 0, 1e-4, enrolled, np.array([person]), source(1)))
        assert 1e-4 * (1 - 1e-8) < norm <= 1e-4


def test_micro_batches_are_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    run, enrolled, who = run_of(people=PEOPLE, ghost=True), people_of(people=PEOPLE), np.arange(PEOPLE)
    task = ModuleTask(KINDS[0][0], run)
    whole = ghost_part(task, 0, 0.5, enrolled, who, source(1))
    monkeypatch.setattr(ModuleTask, "people_at_once", lambda *_: 3)
    np.testing.assert_allclose(ghost_part(task, 0, 0.5, enrolled, who, source(1)), whole, rtol=1e-9, atol=1e-12)
    assert not ghost_part(task, 0, 0.5, enrolled, who[:0], source(1)).any()


def test_somebody_without_a_finite_gradient_contributes_nothing_and_nobody_else_notices() -> None:
    kind = Any_(layers(nn.Tanh))
    run, enrolled = run_of(people=PEOPLE, ghost=True), people_of(people=PEOPLE)
    task, others = ModuleTask(kind, run), np.array([0, 1, 3])
    expected = ghost_part(task, 0, 0.5, enrolled, others, source(1))
    enrolled.source.features[2] = np.inf
    np.testing.assert_array_equal(ghost_part(task, 0, 0.5, enrolled, np.arange(4), source(1)), expected)
    assert not ghost_part(task, 0, 0.5, enrolled, np.array([2]), source(1)).any()


def test_the_trainer_takes_it_where_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, enrolled, who = Any_(layers(nn.Tanh)), people_of(people=PEOPLE), np.arange(5)
    asked: list[int] = []
    monkeypatch.setattr(ModuleTask, "gradients", lambda *_: asked.append(1) or 1 / 0)
    run = run_of(people=PEOPLE, ghost=True)
    assert Trainer(run, ModuleTask(kind, run), enrolled).clipped_sum(0, who, source(1)).any()
    assert not asked
    plain = run_of(people=PEOPLE)
    with pytest.raises(ZeroDivisionError):
        Trainer(plain, ModuleTask(kind, plain), enrolled).clipped_sum(0, who, source(1))


def test_another_number_of_losses_is_refused() -> None:
    sums = GhostSum(nn.Linear(4, 1).double(), 1.0)
    with pytest.raises(IntegrityError, match=r"losses of shape \(2,\) of 3 people"):
        sums.add(lambda module, _: module(torch.ones(2, 4, dtype=torch.float64))[:, 0], np.arange(3))
