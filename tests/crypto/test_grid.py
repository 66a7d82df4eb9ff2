"""The grid against exact fractions; range edge, refusals, bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, InputError
from crypto.public.grid import Grid
from crypto.public.random import SeededRandom
from tests.crypto.parties import reference

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(FINITE, min_size=1, max_size=20), st.integers(2, 24), st.integers(-10, 10))
def test_quantise_is_the_exact_reference(values: list[float], bits: int, exponent: int) -> None:
    step = 2.0**exponent
    update = np.array(values)
    got = Grid(step, bits).quantise(update, SeededRandom(9, 1))
    assert got.tolist() == reference({1: update}, bits, step)
    assert -(2 ** (bits - 1)) <= int(got.min()) <= int(got.max()) < 2 ** (bits - 1)


def test_edge_of_the_range_wraps_and_never_clamps() -> None:
    grid = Grid(1.0, 8)
    values = np.array([126.0, 127.0, 128.0, 129.0, -128.0, -129.0, 256.0, 1e18])
    assert grid.quantise(values, SeededRandom(0)).tolist() == [126, 127, -128, -127, -128, 127, 0, 0]
    assert grid.half_range == 127.0


def test_wrapping_is_a_function_of_the_sum_mod_2_to_the_bits() -> None:
    grid = Grid(1.0, 8)
    updates = [np.array([100.0, -128.0, 5.0]), np.array([100.0, -5.0, 300.0])]
    wrapped = sum(grid.quantise(update, SeededRandom(0)) for update in updates)
    assert np.array_equal(wrapped % 256, sum(updates).astype(np.int64) % 256)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.7e308])
def test_values_that_are_no_numbers_are_refused_by_name(bad: float) -> None:
    with pytest.raises(InputError, match=r"identifier\.weight: 1 of 3 values"):
        Grid(0.5, 16).quantise(np.array([0.0, bad, 1.0]), SeededRandom(0), name="identifier.weight")


@pytest.mark.parametrize(("step", "bits"), [(0.0, 16), (-1.0, 16), (math.nan, 16), (math.inf, 16), (1.0, 1), (1.0, 25)])
def test_bad_grids_are_refused(step: float, bits: int) -> None:
    with pytest.raises(ConfigError):
        Grid(step, bits)


def test_rounding_is_unbiased() -> None:
    values = np.full(200_000, 0.3)
    mean = Grid(1.0, 16).quantise(values, SeededRandom(3)).mean()
    assert abs(mean - 0.3) < 5 * math.sqrt(0.21 / 200_000)


def test_dequantise() -> None:
    assert Grid(0.5, 16).dequantise(np.array([-3, 0, 4])).tolist() == [-1.5, 0.0, 2.0]


def test_empty_update() -> None:
    assert Grid(0.5, 16).quantise(np.zeros(0), SeededRandom(0)).size == 0
