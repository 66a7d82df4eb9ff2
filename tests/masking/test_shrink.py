"""Shrinkage of noisy risk weights, against optimality conditions, simulations and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from afml.masking.networks.features import PanelStatistics
from afml.masking.shrink import (
    CLUMP_BASES,
    LD_SHRINKAGE,
    PENALTY_SIGMAS,
    clumped,
    joint_lasso,
    marginal_noise,
    pursued,
    soft_threshold,
    sparse_weights,
)
from tests.masking.simulated import dosages


def test_soft_threshold_keeps_at_most_so_many() -> None:
    weights = np.array([3.0, -2.0, 1.0, 0.5])
    np.testing.assert_allclose(soft_threshold(weights, 2), [2.0, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(soft_threshold(weights, 9), weights)


def test_the_lasso_meets_its_optimality_conditions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 20))
    correlation, marginal, penalty = 0.5 * x.T @ x / 50 + 0.5 * np.eye(20), rng.normal(size=20), 0.4
    weights = joint_lasso(marginal, correlation, penalty)
    slope = marginal - correlation @ weights
    used = weights != 0
    assert used.any()
    assert not used.all()
    np.testing.assert_allclose(slope[used], penalty * np.sign(weights[used]), atol=1e-4)
    assert np.all(np.abs(slope[~used]) <= penalty + 1e-4)


def test_ld_does_not_spread_one_signal_over_neighbours() -> None:
    panel = dosages(400, 30, seed=8)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    correlation = features.T @ features / np.mean(np.sum(features.astype(float) ** 2, axis=0))
    marginal = correlation[:, 10].astype(np.float64)  # what one causal site leaves at all others
    weights = sparse_weights(marginal, 0.02, features, kept=30)
    assert np.argmax(weights) == 10
    assert np.count_nonzero(weights) < 15


def test_weights_below_the_noise_still_give_the_strongest_sites() -> None:
    panel = dosages(50, 12, seed=8)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    weights = sparse_weights(np.linspace(0.1, 1.2, 12), 100.0, features, kept=3)
    assert list(np.flatnonzero(weights)) == [9, 10, 11]
    assert not sparse_weights(np.zeros(12), 1.0, features, kept=3).any()


def test_pursuit_is_stepwise_regression_of_whole_records() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 30)) @ (np.eye(30) + 0.4 * rng.normal(size=(30, 30)) / 30**0.5)
    y = x[:, [2, 11, 17]] @ [1.0, -0.7, 0.4] + rng.normal(size=500)
    noise, taken = np.full(30, 0.05), list[int]()
    while len(taken) < 8:  # the slow way: residuals of everybody
        fit = np.linalg.lstsq(x[:, taken], y, rcond=None)[0] if taken else np.zeros(0)
        strength = np.abs(x.T @ (y - x[:, taken] @ fit)) / 500 / np.sqrt((x**2).mean(axis=0)) / noise
        strength[taken] = 0.0
        if strength.max() <= PENALTY_SIGMAS:
            break
        taken.append(int(np.argmax(strength)))
    assert {2, 11, 17} <= set(taken)
    assert len(taken) < 8
    found = pursued(x.T @ y / 500, noise, x.T @ x / 500, 8, 0)
    assert sorted(np.flatnonzero(found)) == sorted(taken)
    np.testing.assert_allclose(found[taken], np.linalg.lstsq(x[:, taken], y, rcond=None)[0], atol=1e-9)
    assert np.count_nonzero(pursued(x.T @ y / 500, noise, x.T @ x / 500, 2, 0)) == 2
    few = pursued(x.T @ y / 500, noise, x.T @ x / 500, 8, 20)  # of a small panel, what LD says is less sure
    assert 0 < np.count_nonzero(few) < len(taken)


def test_weights_are_those_of_all_together_where_the_noise_is_small() -> None:
    panel, rng = dosages(600, 200, seed=8), np.random.default_rng(4)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    people = dosages(4000, 200, seed=8)
    other = PanelStatistics.from_panel(panel, 0).features(people).astype(np.float64)
    causal = rng.choice(200, 15, replace=False)
    score = other[:, causal] @ rng.normal(size=15)
    marginal = other.T @ (score / score.std()) / len(other) / np.mean(other**2) ** 0.5

    def told(weights: np.ndarray) -> float:
        return float(np.corrcoef(other @ weights, score)[0, 1] ** 2)

    def cut(noise: float) -> np.ndarray:
        linked = features.T.astype(np.float64) @ features.astype(np.float64)
        unit = float(np.mean(np.square(features.astype(np.float64)).sum(axis=0)))
        speaking = np.abs(marginal) > PENALTY_SIGMAS * noise
        shrunk = linked * ((1 - LD_SHRINKAGE) / unit) + LD_SHRINKAGE * np.eye(200)
        weights = np.zeros(200)
        joint = joint_lasso(marginal[speaking], shrunk[np.ix_(speaking, speaking)], PENALTY_SIGMAS * noise)
        weights[speaking] = soft_threshold(joint, 20)
        return weights

    found, before = sparse_weights(marginal, 0.001, features, 20), cut(0.001)
    assert np.count_nonzero(found) <= 20
    assert told(found) > 0.96
    assert told(found) > told(before) + 0.015
    noisy = sparse_weights(marginal, 0.1, features, 20)  # nothing beyond the noise is left out: as it was
    np.testing.assert_allclose(noisy, cut(0.1), atol=2e-6 * np.abs(noisy).max())


def test_a_site_that_nobody_has_takes_nothing_from_its_neighbours() -> None:
    panel = dosages(400, 30, seed=8)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    correlation = features.T @ features / np.mean(np.sum(features.astype(float) ** 2, axis=0))
    marginal = correlation[:, 10].astype(np.float64)
    linked = int(np.argsort(-np.abs(np.where(np.arange(30) == 10, 0, marginal)))[0])
    marginal[linked] = 0.001  # its calls are not there: noise, whatever the panel's LD says that it should be
    weights = sparse_weights(marginal, 0.02, features, kept=30)
    assert weights[linked] == 0
    assert np.argmax(weights) == 10


def test_marginal_noise_matches_a_simulation() -> None:
    rng, people, variance, rounds, std = np.random.default_rng(0), 400, 0.04, 5, 6.0
    feature = rng.normal(scale=variance**0.5, size=(3000, people))
    sums = (feature * rng.choice([-0.5, 0.5], size=(3000, people))).sum(axis=1)
    noisy = sums + std * rng.normal(size=(3000, rounds)).mean(axis=1)
    measured = np.std(noisy * 4 / variance / people)
    assert marginal_noise(variance, people, 1.0, rounds, std) == pytest.approx(measured, rel=0.05)


def test_clumping_equals_a_slow_reference() -> None:
    rng = np.random.default_rng(4)
    chrom = ["1"] * 60 + ["10"] * 5 + ["2"] * 35
    pos = np.concatenate([np.sort(rng.integers(1, 12_000_000, size)) for size in (60, 5, 35)])
    marginal = rng.normal(size=100)
    leads: list[int] = []
    for site in sorted(range(100), key=lambda site: -abs(marginal[site])):
        near = [one for one in leads if chrom[one] == chrom[site] and abs(pos[one] - pos[site]) <= CLUMP_BASES]
        leads += [] if near else [site]
    found = clumped(marginal, chrom, pos)
    assert sorted(np.flatnonzero(found)) == sorted(leads)
    np.testing.assert_array_equal(found[leads], marginal[leads])
    np.testing.assert_array_equal(clumped(marginal, chrom, np.arange(100) * (CLUMP_BASES + 1)), marginal)
