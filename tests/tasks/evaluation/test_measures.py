"""Measures: exact ones against counting pair by pair, noised ones against exact ones, intervals against repetition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afml.tasks.evaluation import exact, noised
from afml.tasks.evaluation.answers import Answers, sigmoid
from afml.tasks.evaluation.page import page
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.evaluation.vector import NAME, blocks_of, vectors
from afml.tasks.release.blocks import Estimate

MODEL = "0" * 64
BINARY = EvaluationSettings(model=MODEL, outcome="binary")


def answers_of(outcome: Any, said: NDArray[np.float64], truth: NDArray[np.float64], rows: int = 1) -> Answers:
    """Everybody has so many rows."""
    return Answers("ill", outcome, said, truth.astype(np.float64), np.arange(len(truth)) // rows)


def drawn(people: int, seed: int = 1, strength: float = 1.0) -> Answers:
    """A model that knows something: log-odds that are right."""
    rng = np.random.default_rng(seed)
    said = strength * rng.normal(size=people) - 1
    return answers_of("binary", said, (rng.random(people) < sigmoid(said)).astype(float))


def by_pairs(said: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """AUC by its definition."""
    won = total = 0.0
    for case in np.flatnonzero(truth == 1):
        for control in np.flatnonzero(truth == 0):
            pair = weights[case] * weights[control]
            total += pair
            won += pair * (said[case] > said[control]) + pair * 0.5 * (said[case] == said[control])
    return won / total


def released(given_: Answers, wanted: EvaluationSettings, std: float = 0.0, seed: int = 0) -> Estimate:
    """What a run would come to."""
    total = vectors(given_, wanted).sum(axis=0)
    people = int(given_.people.max()) + 1
    noisy = total + np.random.default_rng(seed).normal(scale=std, size=total.shape) if std else total
    return Estimate(noisy, np.zeros(total.shape), np.full(total.shape, std), people)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.floats(0.1, 2)), min_size=2, max_size=25).filter(
        lambda rows: len({ill for _, ill, _ in rows}) == 2
    )
)
def test_auc_is_the_share_of_pairs_that_are_in_order(rows: list[tuple[int, bool, float]]) -> None:
    said, truth, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    assert exact.auc(said, truth, weights) == pytest.approx(by_pairs(said, truth, weights))


def test_a_person_counts_once_whatever_rows_they_have() -> None:
    once = drawn(30)
    rows = np.repeat(np.arange(30), 1 + np.arange(30) % 3)
    more = Answers("ill", "binary", once.said[rows], once.truth[rows], rows)
    assert more.weights.sum() == pytest.approx(30)
    for name in ("auc", "accuracy", "cases", "brier"):
        assert exact.measured(more)[name] == pytest.approx(exact.measured(once)[name])
    np.testing.assert_allclose(vectors(more, BINARY), vectors(once, BINARY))


def test_numbers_between_0_and_1_are_probabilities_and_others_log_odds() -> None:
    truth = np.array([0, 1, 1, 0.0])
    sure = exact.measured(answers_of("binary", np.array([0.1, 0.9, 0.8, 0.2]), truth))
    odds = exact.measured(answers_of("binary", np.array([-2, 2, 1.5, -1.5]), truth))
    assert (sure["said_in"], odds["said_in"]) == ("probabilities", "log-odds")
    assert sure["accuracy"] == odds["accuracy"] == sure["auc"] == 1.0


@pytest.mark.parametrize("outcome", ["binary", "categorical", "quantitative"])
def test_nobody_adds_more_than_the_bound(outcome: Any) -> None:
    rng = np.random.default_rng(4)
    people, rows = 200, 3
    said = rng.normal(scale=9, size=(people * rows, 4) if outcome == "categorical" else people * rows)
    truth = {
        "binary": rng.integers(0, 2, people * rows), "categorical": rng.integers(0, 4, people * rows),
        "quantitative": rng.choice([-9.0, -4, 0, 4, 9], people * rows),
    }[outcome]  # fmt: skip
    wanted = EvaluationSettings(model=MODEL, outcome=outcome, classes=4)
    blocks = blocks_of(wanted)
    found = vectors(answers_of(outcome, said, truth, rows), wanted)
    norms = np.linalg.norm(blocks.blocks[0].weighted(found), axis=1)
    assert found.shape == (people, *blocks.blocks[0].shape)
    assert norms.max() <= blocks.blocks[0].bound * (1 + 1e-12)


def test_without_noise_the_release_is_the_pooled_model_in_bins() -> None:
    given_ = drawn(4000)
    found = noised.measured(BINARY, released(given_, BINARY))
    place = np.searchsorted(BINARY.edges, given_.said, side="right")
    assert found["auc"] == pytest.approx(exact.auc(place.astype(float), given_.truth, given_.weights), abs=1e-6)
    assert found["auc"] == pytest.approx(exact.measured(given_)["auc"], abs=0.005)
    middle = found["thresholds"][9]  # between bins 9 and 10: log-odds of 0
    assert middle["probability"] == 0.5
    assert middle["accuracy"] == pytest.approx(exact.measured(given_)["accuracy"])
    assert middle["true_positive"] + middle["false_negative"] == given_.truth.sum()
    assert found["prevalence"] == pytest.approx(given_.truth.mean(), rel=1e-5)


def test_probabilities_fall_into_the_bins_of_their_log_odds() -> None:
    given_ = drawn(500)
    other = answers_of("binary", sigmoid(given_.said), given_.truth)
    as_said = BINARY.model_copy(update={"said": "probability"})
    np.testing.assert_array_equal(vectors(other, as_said), vectors(given_, BINARY))
    certain = answers_of("binary", np.array([0.0, 1.0]), np.array([0, 1.0]))
    assert [int(np.flatnonzero(one.ravel())[0]) for one in vectors(certain, as_said)] == [0, 2 * BINARY.bins - 1]


def test_classes_and_numbers_come_out_as_they_are_without_noise() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 900)
    said = np.eye(3)[truth] + rng.normal(size=(900, 3))
    wanted = EvaluationSettings(model=MODEL, outcome="categorical", classes=3)
    pooled, found = (exact.measured(answers_of("categorical", said, truth)),
                     noised.measured(wanted, released(answers_of("categorical", said, truth), wanted)))  # fmt: skip
    assert found["accuracy"] == pytest.approx(pooled["accuracy"], rel=1e-5)
    assert found["confusion"] == pooled["confusion"]
    value = rng.normal(size=900).clip(-4, 4)
    guess = (0.8 * value + 0.3 * rng.normal(size=900)).clip(-4, 4)
    wanted = EvaluationSettings(model=MODEL, outcome="quantitative")
    given_ = answers_of("quantitative", guess, value)
    pooled, found = exact.measured(given_), noised.measured(wanted, released(given_, wanted))
    for name in ("r2", "bias", "rmse"):
        assert found[name] == pytest.approx(pooled[name], rel=1e-4, abs=1e-6)
    assert found["correlation"] == pytest.approx(np.corrcoef(value, guess)[0, 1], rel=1e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of noise and of sampling: 300 consortia drawn anew, each with noise; the truth is that of a million people."""
    truth = exact.measured(drawn(1_000_000, seed=99))["auc"]
    held = 0
    for seed in range(300):
        low, high = noised.measured(BINARY, released(drawn(600, seed), BINARY, 3.0, seed))["auc_95"]
        held += low <= truth <= high
    assert 0.90 <= held / 300 <= 0.99


def test_intervals_of_shares_and_r2_hold_the_truth_too() -> None:
    def number(people: int, seed: int) -> Answers:
        rng = np.random.default_rng(seed)
        value = rng.normal(size=people)
        return answers_of("quantitative", (0.7 * value + 0.4 * rng.normal(size=people)).clip(-4, 4), value.clip(-4, 4))

    wanted = EvaluationSettings(model=MODEL, outcome="quantitative")
    r2 = exact.measured(number(1_000_000, 99))["r2"]
    accuracy = exact.measured(drawn(1_000_000, seed=99))["accuracy"]
    held = {"r2": 0, "accuracy": 0}
    for seed in range(200):
        low, high = noised.measured(wanted, released(number(2000, seed), wanted, 3.0, seed))["r2_95"]
        held["r2"] += low <= r2 <= high
        low, high = noised.measured(BINARY, released(drawn(600, seed), BINARY, 3.0, seed))["thresholds"][9][
            "accuracy_95"
        ]
        held["accuracy"] += low <= accuracy <= high
    assert min(held.values()) / 200 >= 0.90


def test_what_noise_swamps_is_none_and_the_page_says_so() -> None:
    given_ = drawn(60)
    found = noised.measured(BINARY, released(given_, BINARY, 40.0)) | {"model": MODEL, "run": "r"}
    assert found["auc"] is None
    assert found["auc_95"] is None
    assert "| auc | - | - |" in page(found)
    wanted = EvaluationSettings(model=MODEL, outcome="quantitative")
    number = answers_of("quantitative", np.zeros(20), np.linspace(-1, 1, 20))
    found = noised.measured(wanted, released(number, wanted, 100.0))
    assert found["r2"] is None


def test_a_page_shows_a_negative_count_as_it_came() -> None:
    given_ = drawn(400)
    estimate = released(given_, BINARY, 2.0, seed=5)
    assert (estimate.sum < 0).any()
    found = noised.measured(BINARY, estimate) | {"model": MODEL, "run": "r"}
    assert any(bin_["people"] < 0 for bin_ in found["calibration"])
    text = page(found)
    assert text.count("| auc |") == 1
    assert "A count may be negative" in text
    assert NAME not in text.split("\n")[0]


def test_bounds_without_a_width_that_can_be_told_are_refused() -> None:
    for low, high in ((1.0, 1.0), (-1.7e308, 1.7e308)):
        with pytest.raises(ValueError, match="low"):
            EvaluationSettings(model=MODEL, outcome="binary", low=low, high=high)
