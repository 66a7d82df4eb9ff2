"""Values go in and come out again; nobody contributes more than the bound; the noise is what an estimate says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afml.tasks.release.blocks import SHORTENED, Block, Blocks, balanced_weights
from afml.training.clipping import ClippedSum


def clipped(vector: Blocks, values: dict[str, NDArray[np.float64]], people: int) -> NDArray[np.float64]:
    """The sum that `afml.training.clipping` makes of these rows, for a clip norm of 1."""
    parts = []
    for share, rows in zip(vector.shares, vector.rows(values), strict=True):
        total = ClippedSum(share)
        total.add(rows, people)
        parts.append(total.total())
    return np.concatenate(parts)


def slowly(vector: Blocks, values: dict[str, NDArray[np.float64]], people: int) -> NDArray[np.float64]:
    """The same sum, person by person and number by number."""
    total = np.zeros(len(vector))
    for person in range(people):
        at, shortened = 0, False
        for block in vector.blocks:
            if block.name == SHORTENED:
                own = [(0.5 if shortened else -0.5) * float(block.weight)]
            else:
                centre = np.broadcast_to(np.asarray(block.centre), block.shape).reshape(-1)
                weight = np.broadcast_to(np.asarray(block.weight), block.shape).reshape(-1)
                own = [
                    0.0 if math.isnan(value) else (value - c) * w
                    for value, c, w in zip(values[block.name][person].reshape(-1), centre, weight, strict=True)
                ]
            norm = math.sqrt(sum(number * number for number in own))
            if norm > block.bound:
                own = [number * block.bound / norm for number in own]
                shortened = shortened or norm > block.bound * (1 + 1e-6)
            total[at : at + len(own)] += np.array(own) / vector.bound
            at += len(own)
    return total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), people=st.integers(1, 5), count=st.booleans())
def test_a_clipped_sum_is_the_slow_one(seed: int, people: int, count: bool) -> None:
    rng = np.random.default_rng(seed)
    blocks = []
    for index in range(int(rng.integers(1, 4))):
        shape = tuple(int(n) for n in rng.integers(1, 4, size=int(rng.integers(1, 3))))
        centre, weight = rng.normal(size=shape), np.exp(rng.normal(size=shape))
        blocks.append(Block(f"b{index}", shape, float(np.exp(rng.normal())), centre, weight))
    vector = Blocks(*blocks, count_shortened=count)
    values = {block.name: rng.normal(size=(people, *block.shape)) * 2 for block in blocks}
    values["b0"][rng.random(values["b0"].shape) < 0.2] = np.nan
    np.testing.assert_allclose(clipped(vector, values, people), slowly(vector, values, people), atol=1e-4)


def test_sums_come_out_as_they_went_in() -> None:
    rng = np.random.default_rng(1)
    vector = Blocks(
        Block("ages", (2, 3), 50.0, centre=40.0, weight=rng.uniform(0.1, 0.5, (2, 3))),
        Block("flag", (1,), 0.5, centre=0.5, sure=True),
        count_shortened=True,
    )
    values = {"ages": rng.normal(40, 9, (30, 2, 3)), "flag": rng.integers(0, 2, (30, 1)).astype(float)}
    out = vector.estimates(clipped(vector, values, 30), 30, 2.0)
    np.testing.assert_allclose(out["ages"].sum, values["ages"].sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(out["ages"].mean, values["ages"].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(out["flag"].sum, values["flag"].sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(out[SHORTENED].sum, 0.0, atol=1e-6)
    np.testing.assert_allclose(out["ages"].std, 2.0 * vector.bound / vector.blocks[0].weight, rtol=1e-4)
    np.testing.assert_allclose(out["ages"].mean_std, out["ages"].std / 30)


def test_whoever_is_shortened_is_counted() -> None:
    vector = Blocks(Block("x", (2,), 1.0), count_shortened=True)
    values = {"x": np.array([[0.1, 0.2], [3.0, 4.0], [0.0, 2.0], [np.nan, np.nan]])}
    out = vector.estimates(clipped(vector, values, 4), 4, 1.0)
    np.testing.assert_allclose(out[SHORTENED].sum, [2.0], atol=1e-6)
    np.testing.assert_allclose(out["x"].sum, [0.1 + 0.6, 0.2 + 0.8 + 1.0], rtol=1e-5)


def test_nothing_is_counted_where_every_bound_is_sure() -> None:
    assert [block.name for block in Blocks(Block("x", (2,), 1.0, sure=True), count_shortened=True).blocks] == ["x"]


def test_the_shares_fill_the_clip_norm() -> None:
    vector = Blocks(Block("a", (2,), 3.0), Block("b", (1,), 4.0))
    assert vector.bound == 5.0
    assert vector.shares == (0.6, 0.8)
    assert vector.places == {"a": slice(0, 2), "b": slice(2, 3)}


def test_a_person_whose_values_are_not_known_counts_as_the_centre() -> None:
    vector = Blocks(Block("x", (1,), 5.0, centre=3.0))
    out = vector.estimates(clipped(vector, {"x": np.array([[np.nan], [5.0]])}, 2), 2, 0.0)
    np.testing.assert_allclose(out["x"].sum, [8.0])


@pytest.mark.parametrize("seed", range(5))
def test_balanced_weights_are_the_inverse_cube_root(seed: int) -> None:
    variance = np.exp(np.random.default_rng(seed).uniform(-60, 60, 200))
    np.testing.assert_allclose(balanced_weights(variance), variance ** (-1 / 3), rtol=1e-14)


def test_no_other_weights_have_a_smaller_sum_of_standard_errors() -> None:
    rng = np.random.default_rng(4)
    variance = rng.uniform(0.01, 1.0, 20)

    def cost(weights: NDArray[np.float64]) -> float:
        """Of weights that are scaled to one and the same expected square of a person's vector."""
        return float((1 / weights).sum() * np.sqrt((weights**2 * variance).sum()))

    best = cost(balanced_weights(variance))
    assert all(best <= cost(balanced_weights(variance) * np.exp(0.1 * rng.normal(size=20))) for _ in range(50))


@pytest.mark.parametrize(
    "wrong", [{"bound": 0.0}, {"bound": math.nan}, {"weight": 0.0}, {"weight": np.array([1.0, -1.0])}]
)
def test_a_block_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Block(**{"name": "x", "shape": (2,), "bound": 1.0} | wrong)  # type: ignore[arg-type]
