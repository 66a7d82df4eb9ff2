"""Folding and adding piece by piece: the bits that Opacus gives of a float64 copy of everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from opacus.optimizers import DPOptimizer
from torch import nn

from afml.core.threads import one_thread
from afml.training import folding
from afml.training.clipping import BELOW, ClippedSum
from afml.training.folding import fold
from afml.training.task import Rows

Owner = int | NDArray[np.int64]


def _by_opacus(batches: list[tuple[list[torch.Tensor], Owner, int]], bound: float) -> NDArray[np.float64]:
    """The sum by `DPOptimizer.clip_and_accumulate`, of whole float64 copies."""
    shapes = [gradient.shape[1:] for gradient in batches[0][0]]
    parameters = [nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
    optimizer = DPOptimizer(
        torch.optim.SGD(parameters, lr=1.0), noise_multiplier=0.0, max_grad_norm=bound * BELOW,
        expected_batch_size=None, loss_reduction="sum",
    )  # fmt: skip
    for gradients, owner, people in batches:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad_sample = fold(gradient, owner, people)  # type: ignore[attr-defined]
        optimizer.clip_and_accumulate()
    return np.concatenate([p.summed_grad.reshape(-1).numpy() for p in parameters])  # type: ignore[attr-defined]


def _batch(people: int, shapes: list[tuple[int, ...]], owner: Owner, seed: int) -> list[torch.Tensor]:
    rows = people * owner if isinstance(owner, int) else len(owner)
    drawn = torch.Generator().manual_seed(seed)
    return [torch.randn((rows, *shape), generator=drawn) * 10.0**index for index, shape in enumerate(shapes)]


def _sums(
    batches: list[tuple[list[torch.Tensor], Owner, int]], bound: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = ClippedSum(bound)
    with one_thread():
        for gradients, owner, people in batches:
            total.add(Rows(gradients, owner), people)
        return total.total(), _by_opacus(batches, bound)


@pytest.mark.parametrize("people", [1, 2, 7, 16])
@pytest.mark.parametrize("shapes", [[(3,), ()], [(40, 25), (40,), (9, 2, 3, 3)]], ids=["few", "several"])
def test_what_fits_a_piece_has_the_bits_of_opacus(shapes: list[tuple[int, ...]], people: int) -> None:
    found, expected = _sums([(_batch(people, shapes, 1, seed), 1, people) for seed in range(3)], 0.5)
    assert np.array_equal(found, expected)
    named, _ = _sums([(_batch(people, shapes, 1, seed), np.arange(people), people) for seed in range(3)], 0.5)
    assert np.array_equal(named, expected)


def test_many_people_of_small_parameters_have_the_bits_of_opacus() -> None:
    """Several pieces, several micro-batches: each parameter alone is smaller than a piece."""
    batches = [(_batch(150, [(1000,), (30, 20)], 1, seed), 1, 150) for seed in range(3)]
    found, expected = _sums(batches, 0.5)
    assert np.array_equal(found, expected)


@settings(deadline=None, max_examples=40)
@given(
    data=st.data(), people=st.integers(1, 6), bound=st.sampled_from([1e-3, 1.0, 1e6]),
    values=st.sampled_from([1, 300, 1 << 10]),
)  # fmt: skip
def test_many_pieces_differ_in_the_last_place(data: st.DataObject, people: int, bound: float, values: int) -> None:
    """However people's rows lie."""
    owner: Owner = data.draw(st.integers(1, 3))
    if data.draw(st.booleans()):
        owner = np.array(data.draw(st.lists(st.integers(0, people - 1), max_size=12)), np.int64)
        owner = np.sort(owner) if data.draw(st.booleans()) else owner
    batches = [(_batch(people, [(30, 50), (5,), ()], owner, people + seed), owner, people) for seed in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "_VALUES", values)
        found, expected = _sums(batches, bound)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15 * scale)


def test_the_bound_holds_where_a_persons_gradient_is_many_pieces() -> None:
    """The largest share that rounding could give: everybody's gradient is far above the bound."""
    rows, total = _batch(1, [(5 * folding._VALUES + 77,)], 1, 1), ClippedSum(1.0)
    total.add(Rows(rows), 1)
    assert 1.0 - 1e-8 < np.linalg.norm(total.total()) <= 1.0


def test_what_a_task_gave_stays_as_it_was() -> None:
    given_rows = torch.tensor([[1.0, 2.0], [float("nan"), 1.0]], dtype=torch.float64)
    before, total = given_rows.clone(), ClippedSum(1.0)
    total.add(Rows([given_rows]), 2)
    assert torch.equal(given_rows.nan_to_num(7.0), before.nan_to_num(7.0))
    assert np.isfinite(total.total()).all()
