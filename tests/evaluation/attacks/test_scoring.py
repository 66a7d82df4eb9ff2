"""Exact arithmetic: a tie is a tie whatever the order of summation."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.attacks.scoring import exact_directions, exact_terms


def test_sums_of_exact_terms_do_not_depend_on_their_order() -> None:
    rng = np.random.default_rng(0)
    for count in (100, 20_000):
        terms = exact_terms(rng.normal(size=count) * 14, count)
        sums = {float(rng.permutation(terms).sum(dtype=terms.dtype)) for _ in range(20)}
        assert len(sums) == 1
        exact = exact_terms(rng.normal(size=count), count)
        assert exact.dtype == (np.float32 if count == 100 else np.float64)


def test_equal_directions_have_equal_products() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 333))
    unit = exact_directions(np.concatenate([vectors, np.zeros((1, 333)), vectors]))
    products = unit[:1] @ unit.T
    np.testing.assert_array_equal(products[0, :7], products[0, 8:])
    assert products[0, 7] == 0
    assert products[0, 0] == pytest.approx(1, abs=1e-6)
