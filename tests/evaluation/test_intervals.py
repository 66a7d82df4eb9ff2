"""The interval of a utility ratio, against people drawn again with replacement, one draw after another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from afml.evaluation.intervals import ratio_interval

Float64 = NDArray[np.float64]


def made(people: int, seed: int) -> tuple[NDArray[np.int8], Float64, Float64]:
    """Cases, and two scores that share what they know of them."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(people) < 0.4).astype(np.int8)
    raw = truth + rng.normal(size=people)
    return truth, np.round(raw + rng.normal(size=people)), raw  # released scores have ties


def explained(truth: Float64, predicted: Float64) -> float:
    return max(0.0, float(np.corrcoef(truth, predicted)[0, 1])) ** 2


@pytest.mark.parametrize("quantitative", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_that_of_people_drawn_again(quantitative: bool, seed: int) -> None:
    truth, released, raw = made(500, seed)
    outcome = raw + np.random.default_rng(seed).normal(size=500) if quantitative else truth
    reached = explained if quantitative else roc_auc_score
    rng = np.random.default_rng(10 + seed)
    ratios = []
    for _ in range(1500):
        some = rng.integers(500, size=500)
        ratios.append(reached(outcome[some], released[some]) / reached(outcome[some], raw[some]))
    expected = np.quantile(ratios, (0.025, 0.975))
    found = ratio_interval(outcome, released, raw)
    assert found is not None
    width = expected[1] - expected[0]
    assert np.abs(np.array(found) - expected).max() < 0.12 * width


def test_what_holds_the_same_is_as_good_without_a_doubt() -> None:
    truth, released, _ = made(200, 4)
    found = ratio_interval(truth, released, released)
    assert found == pytest.approx((1.0, 1.0), abs=1e-6)


def test_there_is_none_without_a_ratio() -> None:
    nothing = np.zeros(50)
    number = np.random.default_rng(1).normal(size=50)
    assert ratio_interval(np.zeros(50, np.int8), number, number) is None
    assert ratio_interval(number, number, nothing) is None
    assert ratio_interval(number, number, np.random.default_rng(2).normal(size=50)) is None


def test_it_covers_the_ratio_of_all_people_as_often_as_it_says() -> None:
    truth, released, raw = made(200_000, 5)
    whole = roc_auc_score(truth, released) / roc_auc_score(truth, raw)
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(400):
        some = rng.integers(200_000, size=300)
        found = ratio_interval(truth[some], released[some], raw[some])
        assert found is not None
        covered += found[0] <= whole <= found[1]
    assert 0.92 <= covered / 400 <= 0.98
