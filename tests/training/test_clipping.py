"""Folding, clipping and adding up against slow loops, and what no task can make a person's part do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from afml.core.errors import IntegrityError
from afml.training.clipping import ClippedSum, RowGradients, flatten, unflatten
from afml.training.device import autocast
from afml.training.folding import fold
from afml.training.task import Rows
from tests.training.tasks import Told, clipped, folded, of_module, vectors

CPU = torch.device("cpu")


# -- folding ---------------------------------------------------------------------------------------------


@given(people=st.integers(0, 6), shape=st.lists(st.integers(1, 3), max_size=3), data=st.data())
def test_folding_by_owner_is_a_slow_loop(people: int, shape: list[int], data: st.DataObject) -> None:
    """Any order of rows, any number of them for a person, none too."""
    owner = data.draw(st.lists(st.integers(0, people - 1), max_size=12)) if people else []
    rows = np.random.default_rng(len(owner)).normal(size=(len(owner), *shape)).astype(np.float32)
    expected = np.zeros((people, *shape))
    for person, row in zip(owner, rows, strict=True):
        expected[person] += row.astype(np.float64)
    found = fold(torch.from_numpy(rows), np.array(owner, np.int64), people)
    assert found.dtype == torch.float64
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(people=st.integers(0, 5), each=st.integers(1, 4), width=st.integers(1, 3))
def test_so_many_rows_each_is_the_same_as_naming_their_owners(people: int, each: int, width: int) -> None:
    rows = torch.randn(people * each, width, generator=torch.Generator().manual_seed(people))
    owner = np.repeat(np.arange(people), each)
    torch.testing.assert_close(fold(rows, each, people), fold(rows, owner, people), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (1, "6 rows of 2 people, not 1 of each"),
        (2, "6 rows of 2 people, not 2 of each"),
        (np.array([0, 0, 1, 1, 2, 0]), "do not belong to the 2 people"),
        (np.array([0, 0, 1, 1, -1, 0]), "do not belong to the 2 people"),
        (np.array([0, 1]), "do not belong to the 2 people"),
    ],
)
def test_rows_of_nobody_or_of_somebody_else_are_refused(owner: Any, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        fold(torch.zeros(6, 3), owner, 2)


# -- one person's part -----------------------------------------------------------------------------------

#: What rows may hold: ordinary numbers, none at all, and the worst of what a computation ends in.
NUMBERS = st.one_of(
    st.floats(-10, 10),
    st.sampled_from([0.0, float("nan"), float("inf"), float("-inf"), 1e300, -1e300, 1e-320, 1.7e308]),
)


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.lists(NUMBERS, min_size=3, max_size=3)), max_size=8),
    share=st.sampled_from([(1.0,), (0.6, 0.8), (0.0, 1.0)]),
)
def test_nobody_adds_more_than_the_clip_norm_whatever_the_rows_say(
    rows: list[tuple[int, list[float]]], share: tuple[float, ...]
) -> None:
    """One person's sum is at most the norm; of three, what the two others add is what they add alone."""
    values = torch.tensor([row for _, row in rows], dtype=torch.float64).reshape(-1, 3)
    owner = np.array([person for person, _ in rows], np.int64)

    def part(people: list[int]) -> NDArray[np.float64]:
        def of(asked: NDArray[np.int64]) -> list[Rows]:
            chosen = [people[index] for index in asked]
            mine = np.isin(owner, chosen)
            named = np.array([chosen.index(one) for one in owner[mine]], np.int64)
            return [Rows([values[torch.from_numpy(mine)]], named)] * len(share)

        return Told(of, 3 * len(share), shares=share).part(0.5, len(people))

    alone = [part([person]) for person in range(3)]
    for one in alone:
        assert np.isfinite(one).all()
        assert np.linalg.norm(one) <= 0.5
    np.testing.assert_allclose(part([0, 1, 2]), np.sum(alone, axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64])
def test_the_bound_holds_in_any_precision_of_the_rows(dtype: torch.dtype) -> None:
    rows = (100 * torch.randn(5, 7, generator=torch.Generator().manual_seed(0))).to(dtype)
    for row in rows:
        assert np.linalg.norm(clipped([Rows([row[None]])], 1, [0.25])) <= 0.25


def test_a_person_without_finite_gradient_contributes_nothing() -> None:
    gradients, total = RowGradients(nn.Linear(3, 1, bias=False)), ClippedSum(1.0)
    features = torch.tensor([[1.0, 0.0, 1.0], [float("inf"), 0.0, 1.0]])
    gradients.backward(gradients.hooked(features).sum())
    total.add(gradients.rows(), 2)
    np.testing.assert_allclose(total.total(), np.array([1.0, 0.0, 1.0]) / 2**0.5, rtol=1e-4)


def test_a_person_with_one_bad_number_in_any_parameter_contributes_nothing_to_all() -> None:
    first, second = torch.ones(2, 3), torch.ones(2, 4)
    second[1, 2] = float("nan")
    found = clipped([Rows([first, second])], 2, [1.0])
    np.testing.assert_allclose(found, np.full(7, 7**-0.5), rtol=1e-5)


@pytest.mark.parametrize(("people", "parameters"), [(4000, 500), (3, 200_000)])
def test_one_more_person_moves_the_sum_by_at_most_the_bound(people: int, parameters: int) -> None:
    """Exactly, and not up to float32: a long sum and a long vector, where everybody pulls the same way."""
    direction = torch.randn(1, parameters, generator=torch.Generator().manual_seed(1))

    def total(count: int) -> NDArray[np.float64]:
        layer = nn.Linear(parameters, 1, bias=False)
        task = of_module(layer, lambda m, p: m(direction.expand(p.stop - p.start, parameters)), at_once=400)
        return task.part(1.0, count)

    moved = np.linalg.norm(total(people + 1) - total(people))
    assert 0.99999 < moved <= 1.0


def test_autocast_leaves_gradients_whose_own_norm_would_pass_the_bound() -> None:
    """Why norms are taken in float64: Opacus' bf16 gradient of a layer, clipped in bf16, is too long."""
    torch.manual_seed(0)
    gradients = RowGradients(torch.nn.Linear(64, 64, bias=False))
    with autocast(CPU, True):
        loss = gradients.hooked(torch.randn(50, 64)).float().pow(2).sum()
    gradients.backward(loss)
    whole = gradients.rows()
    rows = whole.gradients[0].flatten(1)
    assert rows.dtype == torch.bfloat16
    carelessly = rows * (1.0 / rows.norm(dim=1, keepdim=True))
    assert float(carelessly.double().norm(dim=1).max()) > 1.001
    [careful] = folded(whole, 50)
    kept = careful.flatten(1) * ((1 - 1e-9) / careful.flatten(1).norm(dim=1, keepdim=True))
    assert float(kept.norm(dim=1).max()) <= 1.0


# -- whole sums ------------------------------------------------------------------------------------------


@given(people=st.integers(0, 9), at_once=st.integers(1, 10), bound=st.sampled_from([0.1, 1.0, 100.0]))
def test_the_clipped_sum_is_a_slow_loop(people: int, at_once: int, bound: float) -> None:
    """However many people fit a micro-batch; nobody gives zeros."""
    table = np.random.default_rng(people).normal(size=(people, 5))
    expected = np.zeros(5)
    for row in table:
        expected += row * min(1.0, bound / np.linalg.norm(row))
    found = vectors(table, at_once=at_once).part(bound, people)
    assert found.shape == (5,)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_each_block_is_clipped_to_its_share() -> None:
    first, second = torch.full((2, 3), 9.0), torch.full((2, 2), 0.001)
    found = Told(lambda people: [Rows([first]), Rows([second])], 5, shares=(0.6, 0.8)).part(2.0, 2)
    assert np.linalg.norm(found[:3]) == pytest.approx(2 * 2.0 * 0.6, rel=1e-4)
    np.testing.assert_allclose(found[3:], 0.002, rtol=1e-6)  # too short to be clipped


# -- tasks that are refused ------------------------------------------------------------------------------


def _ones(*shape: int) -> Rows:
    return Rows([torch.ones(shape)])


@pytest.mark.parametrize("shares", [(), (1.0, 0.01), (0.8, 0.8), (1.001,), (-1.1,), (float("nan"),), (float("inf"),)])
def test_shares_above_the_clip_norm_are_refused(shares: tuple[float, ...]) -> None:
    task = Told(lambda people: [_ones(len(people), 3)] * len(shares), 3 * len(shares), shares=shares)
    with pytest.raises(IntegrityError, match="share out more than the clip norm"):
        task.part(1.0, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_ones(3, 5), "3 rows of 2 people"),
        (_ones(1, 5), "1 rows of 2 people"),
        (Rows([torch.ones(2, 5)], np.array([0, 2])), "do not belong to the 2 people"),
        (Rows([torch.ones(2, 2), torch.ones(3, 3)]), "3 rows of 2 people"),
        (_ones(2, 4), "4 parameters, its phase declares 5"),
        (_ones(2, 6), "6 parameters, its phase declares 5"),
    ],
)
def test_rows_of_other_people_or_parameters_are_refused(rows: Rows, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        Told(lambda people: [rows], 5).part(1.0, 2)


def test_other_parameters_than_in_the_last_micro_batch_are_refused() -> None:
    for shapes in ([(5,), (4,)], [(5,), (1, 5)]):
        sizes = iter(shapes)
        task = Told(lambda people, sizes=sizes: [_ones(len(people), *next(sizes))], 5, at_once=2)  # type: ignore[misc]
        with pytest.raises(IntegrityError, match="other parameters than before"):
            task.part(1.0, 4)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_another_number_of_blocks_than_declared_is_refused(blocks: int) -> None:
    task = Told(lambda people: [_ones(len(people), 2)] * blocks, 4, shares=(0.6, 0.8))
    with pytest.raises(IntegrityError, match=f"{blocks} blocks"):
        task.part(1.0, 2)


def test_layers_that_mix_people_are_refused() -> None:
    """Batch normalisation would make a person's gradient depend on the others in the batch."""
    with pytest.raises(Exception, match=r"(?i)batch ?norm|mixes|not support|buffers"):
        RowGradients(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))


# -- flat parameters -------------------------------------------------------------------------------------


def test_flatten_and_unflatten_are_inverse() -> None:
    first, second = (nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 1)) for _ in range(2))
    unflatten(first, flatten(second))
    assert np.array_equal(flatten(first), flatten(second))


def test_a_parameter_that_is_a_single_number_is_clipped_like_any_other() -> None:
    total = ClippedSum(1.0)
    total.add(Rows([torch.tensor([3.0, float("nan"), -0.5])]), 3)
    assert total.total() == pytest.approx([0.5], abs=1e-5)  # 3 is clipped to 1, who has no number gives nothing
