"""Gradients as factors: clipped and added up as if they were multiplied out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.core.errors import IntegrityError
from afml.training.clipping import ClippedSum
from afml.training.outer import Outer
from afml.training.task import Rows


def factors(people: int, outputs: int = 3, inputs: int = 5) -> Outer:
    generator = torch.Generator().manual_seed(people)
    return Outer(
        torch.randn((people, outputs), generator=generator), torch.randn((people, inputs), generator=generator)
    )


def test_they_stand_for_their_products() -> None:
    made = factors(4)
    assert made.shape == made.dense().shape == (4, 3, 5)
    for person in range(4):
        np.testing.assert_array_equal(made.dense()[person], np.outer(made.left[person], made.right[person]))
    first, second = Rows([made, made.left]).dense()
    assert torch.equal(first, made.dense())
    assert torch.equal(second, made.left)


@pytest.mark.parametrize("bound", [0.1, 2.0, 1e6])
def test_the_clipped_sum_is_that_of_the_products(bound: float) -> None:
    whole, short = ClippedSum(bound), ClippedSum(bound)
    for people in (6, 1, 9):
        made = factors(people)
        whole.add(Rows([made.dense(), made.left]), people)
        short.add(Rows([made, made.left]), people)
    np.testing.assert_allclose(short.total(), whole.total(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("where", ["left", "right"])
def test_a_person_without_finite_gradient_contributes_nothing(where: str) -> None:
    made = factors(3)
    getattr(made, where)[1, 0] = float("inf")
    others = Outer(made.left[[0, 2]], made.right[[0, 2]])
    found, wanted = ClippedSum(1.0), ClippedSum(1.0)
    found.add(Rows([made]), 3)
    wanted.add(Rows([others]), 2)
    np.testing.assert_allclose(found.total(), wanted.total())


@pytest.mark.parametrize(("owner", "people"), [(2, 2), (np.array([0, 0, 1, 1]), 2), (1, 3)])
def test_several_rows_of_a_person_are_refused(owner: int | np.ndarray, people: int) -> None:  # type: ignore[type-arg]
    with pytest.raises(IntegrityError):
        ClippedSum(1.0).add(Rows([factors(4)], owner), people)
