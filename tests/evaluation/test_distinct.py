"""Equal records, found by hashing, against numpy's sort of whole rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.evaluation import distinct as module
from afml.evaluation.distinct import counted, distinct, distinct_if_few


@given(st.integers(0, 40), st.integers(1, 19), st.integers(0, 2**32 - 1))
def test_distinct_rows_are_numpys(rows: int, sites: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = rng.integers(-1, 3, size=(5, sites)).astype(np.int8)
    records = few[rng.integers(5, size=rows)]
    found, index = distinct(records)
    expected, where, counts = np.unique(records, axis=0, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(index, where.reshape(-1))
    np.testing.assert_array_equal(counted(records)[1], counts)


def test_a_collision_of_hashes_makes_no_rows_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    records = np.array([[0, 1], [2, 1], [0, 1]], dtype=np.int8)

    def collide(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([0]), np.zeros(len(rows), dtype=np.int64)

    monkeypatch.setattr(module, "_hashed", collide)
    found, index = distinct(records)
    np.testing.assert_array_equal(found, [[0, 1], [2, 1]])
    np.testing.assert_array_equal(index, [0, 1, 0])


def test_nothing_is_told_apart_where_more_differ_than_asked() -> None:
    records = np.array([[0, 1], [2, 1], [0, 1]], dtype=np.int8)
    assert distinct_if_few(records, 1) is None
    few = distinct_if_few(records, 2)
    assert few is not None
    for one, other in zip(few, distinct(records), strict=True):
        np.testing.assert_array_equal(one, other)
