"""The grid against exact fractions; refusals, bias, and back through the rotation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, InputError
from crypto.public.grid import Grid
from crypto.public.random import SeededRandom
from tests.crypto.parties import rounded

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e11, max_value=1e11)


@given(st.lists(FINITE, min_size=1, max_size=20), st.integers(-10, 10))
def test_quantise_is_the_exact_reference(values: list[float], exponent: int) -> None:
    step = 2.0**exponent
    update = np.array(values)
    got = Grid(step).quantise(update, SeededRandom(9, 1))
    assert got.tolist() == rounded({1: update}, step)


@given(st.lists(FINITE, min_size=1, max_size=70), st.binary(max_size=40))
def test_over_turned_coordinates_it_comes_back_within_its_roundings(values: list[float], seed: bytes) -> None:
    grid, update = Grid(0.25).turned(seed), np.array(values)
    back = grid.dequantise(grid.quantise(update, SeededRandom(0)))
    allowed = 0.25 * math.sqrt(update.size) + 1e-12 * float(np.linalg.norm(update))
    assert float(np.linalg.norm(back - update)) <= allowed


@given(st.lists(FINITE, min_size=1, max_size=70), st.binary(max_size=40))
def test_with_next_to_no_noise_it_comes_back_within_its_roundings_too(values: list[float], seed: bytes) -> None:
    grid, update = Grid(0.25).turned(seed), np.array(values)
    back = grid.dequantise(grid.noised(update, 1e-9, SeededRandom(0)))
    allowed = 0.25 * math.sqrt(update.size) + 1e-7 + 1e-12 * float(np.linalg.norm(update))
    assert float(np.linalg.norm(back - update)) <= allowed


def test_noise_is_in_units_of_the_update() -> None:
    drawn = Grid(0.5).dequantise(Grid(0.5).noised(np.zeros(100_000), 3.0, SeededRandom(2)))
    assert drawn.std() == pytest.approx(math.sqrt(9 + 0.25 / 6), rel=0.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.7e308, 2.0**51])
@pytest.mark.parametrize("grid", [Grid(0.5), Grid(0.5).turned(b"")])
def test_values_that_are_no_numbers_are_refused(bad: float, grid: Grid) -> None:
    with pytest.raises(InputError, match="update: 1 of 3 values"):
        grid.quantise(np.array([0.0, bad, 1.0]), SeededRandom(0))
    with pytest.raises(InputError, match="update: 1 of 3 values"):
        grid.noised(np.array([0.0, bad, 1.0]), 1.0, SeededRandom(0))


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf])
def test_bad_grids_are_refused(step: float) -> None:
    with pytest.raises(ConfigError):
        Grid(step)


def test_rounding_is_unbiased() -> None:
    values = np.full(200_000, 0.3)
    mean = Grid(1.0).quantise(values, SeededRandom(3)).mean()
    assert abs(mean - 0.3) < 5 * math.sqrt(0.21 / 200_000)


def test_dequantise() -> None:
    assert Grid(0.5).dequantise(np.array([-3, 0, 4])).tolist() == [-1.5, 0.0, 2.0]


def test_empty_update() -> None:
    assert Grid(0.5).quantise(np.zeros(0), SeededRandom(0)).size == 0
