"""The rotation against the matrix that it stands for; what it keeps, what it spreads, the same bits everywhere."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crypto.public.rotation import LARGEST_BLOCK, Rotation, block_of

SEEDS = st.binary(max_size=40)


def matrix_of(rotation: Rotation, length: int) -> NDArray[np.float64]:
    """Columns are what becomes of unit vectors."""
    return np.array([rotation.turn(unit) for unit in np.eye(length)]).T


def hadamard(size: int) -> NDArray[np.float64]:
    """Sylvester's matrix."""
    made = np.ones((1, 1))
    while len(made) < size:
        made = np.block([[made, made], [made, -made]])
    return made


@settings(deadline=None)
@given(st.integers(1, 70), SEEDS)
def test_it_is_an_orthogonal_matrix_of_signs_and_back_is_its_transpose(length: int, seed: bytes) -> None:
    rotation = Rotation(seed)
    matrix = matrix_of(rotation, length)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(length), atol=1e-12)
    values = np.random.default_rng(length).normal(size=length)
    np.testing.assert_allclose(rotation.turn(values), matrix @ values, atol=1e-12)
    np.testing.assert_allclose(rotation.back(values), matrix.T @ values, atol=1e-12)


@pytest.mark.parametrize("power", range(9))
def test_a_single_block_is_a_hadamard_matrix_with_signs(power: int) -> None:
    """Rows in another order and columns with random signs, nothing else."""
    size = 1 << power
    matrix = matrix_of(Rotation(b"one"), size) * math.sqrt(size)
    first = matrix[0]  # of ones, in the order of the transposed matrix too
    np.testing.assert_allclose(np.abs(first), 1.0)
    assert sorted(map(tuple, np.rint(matrix * first).tolist())) == sorted(map(tuple, hadamard(size).tolist()))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5000), SEEDS)
def test_it_keeps_norms_and_comes_back(length: int, seed: bytes) -> None:
    values = np.random.default_rng(length).normal(size=length)
    rotation, given_values = Rotation(seed), values.copy()
    turned = rotation.turn(values)
    assert float(np.linalg.norm(turned)) == pytest.approx(float(np.linalg.norm(values)), rel=1e-12)
    np.testing.assert_allclose(rotation.back(turned), values, atol=1e-12)
    assert np.array_equal(values, given_values)


@pytest.mark.parametrize("length", [1024, 1500, 3000])
def test_what_one_coordinate_holds_is_spread_over_a_block(length: int) -> None:
    """Sub-Gaussian with proxy 1 / n: over many seeds, no coordinate beyond 8 / sqrt(n), whatever the unit vector."""
    size, largest = block_of(length), 0.0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        some = np.eye(1, length, int(rng.integers(length)))[0]
        dense = rng.normal(size=length)
        for unit in (some, np.full(length, 1 / math.sqrt(length)), dense / np.linalg.norm(dense)):
            largest = max(largest, float(np.abs(Rotation(bytes([seed])).turn(unit)).max()))
    assert largest < 8 / math.sqrt(size)


def test_blocks() -> None:
    assert [block_of(length) for length in (0, 1, 2, 3, 1023, 1024)] == [1, 1, 2, 2, 512, 1024]
    assert block_of(11_000_000) == block_of(LARGEST_BLOCK) == LARGEST_BLOCK


def test_seeds_differ_and_one_seed_gives_the_same_bits_everywhere() -> None:
    values = np.arange(3000.0) / 7
    turned = [Rotation(seed).turn(values) for seed in (b"", b"a", b"a")]
    assert not np.array_equal(turned[0], turned[1])
    assert np.array_equal(turned[1], turned[2])
    # On any machine, with any numpy: a change of these bits would split a consortium.
    digest = hashlib.sha256(turned[1].tobytes() + Rotation(b"a").back(values).tobytes()).hexdigest()
    assert digest[:16] == "532084bc56dfa302"


def test_nothing_to_turn() -> None:
    assert Rotation(b"").turn(np.zeros(0)).size == Rotation(b"").back(np.zeros(0)).size == 0
