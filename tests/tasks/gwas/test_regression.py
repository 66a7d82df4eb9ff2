"""Coefficients beside numpy's, with and without noise, and the bound on residuals beside a count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.tasks.gwas.regression import Fit, fitted, pairs, product_block, products, solve
from afml.tasks.gwas.residual import BOUNDS, bound_of, chosen_bound, residuals, worth
from afml.tasks.gwas.settings import GwasSettings

TWO = GwasSettings.model_validate(
    {"trait": {"name": "y", "kind": "quantitative"}, "covariates": [{"name": "age"}, {"name": "sex"}], "components": 0}
)


@given(st.integers(1, 8), st.integers(0, 1000))
def test_the_solution_is_the_one_that_numpy_finds(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size + 2))
    matrix, right = root @ root.T + 0.1 * np.eye(size), rng.normal(size=size)
    found = solve(matrix.tolist(), right.tolist(), 0.0)
    assert found is not None
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-9)


def test_what_is_not_clear_of_noise_has_no_solution() -> None:
    assert solve([[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0], 0.0) is None
    assert solve([[1.0, 0.0], [0.0, 0.5]], [1.0, 1.0], 0.6) is None


@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_coefficients_are_those_of_least_squares(noise: float) -> None:
    rng = np.random.default_rng(1)
    explained = rng.normal(size=(5000, 2))
    trait = 0.3 + explained @ [0.5, -0.2] + 0.7 * rng.normal(size=5000)
    sums = products(TWO, explained, trait).sum(axis=0)
    fit = fitted(TWO, sums + noise * rng.normal(size=len(sums)), 5000, noise)
    exact, *_ = np.linalg.lstsq(np.column_stack([np.ones(5000), explained]), trait, rcond=None)
    np.testing.assert_allclose(fit.coefficients, exact, atol=1e-9 + noise / 1000)
    assert fit.residual == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(residuals(TWO, fit, explained, trait).std(), fit.residual, atol=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_noise_above_everything_still_has_an_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fit = fitted(TWO, 1e4 * rng.normal(size=len(pairs(TWO)[0])), 50, 1e4)
    assert np.isfinite(fit.coefficients).all()
    assert 0 < fit.residual <= 4


def test_few_people_are_longer_than_the_bound_of_products() -> None:
    block, rng = product_block(TWO), np.random.default_rng(2)
    values = products(TWO, rng.normal(size=(2000, 2)), rng.normal(size=2000))
    assert np.mean(np.linalg.norm(block.weighted(values), axis=1) > block.bound) < 0.25


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_what_a_bound_is_worth_is_what_simulated_scores_say(bound: float, noise: float) -> None:
    rng = np.random.default_rng(4)
    z, shift = rng.normal(size=1_000_000), 0.02
    moved = (np.clip((z + shift) / bound, -1, 1) - np.clip(z / bound, -1, 1)).mean() / shift
    spread = np.square(np.clip(z / bound, -1, 1)).mean()
    assert worth(bound, noise) == pytest.approx(moved**2 / (spread + noise), rel=0.02)


def test_more_noise_asks_for_a_tighter_bound() -> None:
    chosen = [chosen_bound(TWO, noise) for noise in (0.0, 0.03, 1.0, 10.0)]
    assert chosen == sorted(chosen, reverse=True)
    assert (chosen[0], chosen[-1]) == (4.0, 0.5)
    fixed = TWO.model_copy(update={"residual_bound": 2.5})
    assert bound_of(fixed, Fit((0.0,), 0.5, 0.0), 1.0) == 1.25


@pytest.mark.parametrize("mean", [-0.45, 0.0, 0.3])
def test_residuals_of_cases_and_controls_are_within_the_bound(mean: float) -> None:
    settings = GwasSettings.model_validate({"trait": {"name": "ill"}, "components": 0})
    fit = Fit((mean,), 0.4, mean)
    left = residuals(settings, fit, np.zeros((2, 0)), np.array([-0.5, 0.5]))
    assert left.tolist() == pytest.approx([-0.5 - mean, 0.5 - mean])
    assert np.abs(left).max() <= bound_of(settings, fit, 1.0) <= 1.0
