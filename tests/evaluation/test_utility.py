from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Int8
from afml.evaluation.utility import (
    Outcome,
    Utility,
    best_raw_auc,
    raw_auc,
    released_auc,
    score_auc,
    standardise,
)
from tests.simulated import simulate_dosage


@pytest.fixture(scope="module")
def study() -> tuple[Int8, Outcome]:
    """500 people; three of 200 sites are causal."""
    dosage = simulate_dosage(500, 200, 2)
    rng = np.random.default_rng(0)
    liability = dosage[:, [10, 90, 150]] @ np.array([1.0, -1.0, 1.2]) + rng.normal(size=500)
    phenotype = (liability > np.median(liability)).astype(np.int8)
    return dosage, Outcome(phenotype, np.arange(500) % 4 != 0)


def test_the_fixed_pipeline_is_scikit_learns(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    train = outcome.training
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    model.fit(dosage[train].astype(float), outcome.phenotype[train])
    expected = roc_auc_score(outcome.phenotype[~train], model.decision_function(dosage[~train].astype(float)))
    assert raw_auc(dosage, outcome) == pytest.approx(expected, abs=1e-3)
    assert released_auc(dosage, outcome) == raw_auc(dosage, outcome)


def test_missing_calls_take_the_training_mean() -> None:
    dosage = np.array([[0], [2], [-1], [1], [-1]], dtype=np.int8)
    training = np.array([True, True, True, False, False])
    values = standardise(dosage, training)
    scale = np.sqrt(2 / 3)  # -1, 1 and the mean itself
    np.testing.assert_allclose(values[:, 0], np.array([-1, 1, 0, 0, 0]) / scale)


@pytest.mark.parametrize("value", [0, 1, -1])
def test_a_constant_release_predicts_nothing_and_warns_nobody(
    study: tuple[Int8, Outcome], value: int
) -> None:
    dosage, outcome = study
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert released_auc(np.full_like(dosage, value), outcome) == 0.5
        assert score_auc(np.zeros(len(dosage)), outcome) == 0.5


def test_missing_masks_are_read_as_the_better_of_two_ways(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    only_hets = np.where(dosage == 1, 1, -1).astype(
        np.int8
    )  # constant where shown: the pattern is the message
    as_zero = np.where(dosage == 1, 1, 0).astype(np.int8)
    assert released_auc(only_hets, outcome) == released_auc(as_zero, outcome)
    rng = np.random.default_rng(1)
    holes = np.where(rng.random(dosage.shape) < 0.5, dosage, -1).astype(np.int8)
    assert released_auc(holes, outcome) >= released_auc(np.maximum(holes, 0), outcome) - 0.05


def test_the_best_raw_model_finds_a_sparse_trait(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    assert best_raw_auc(dosage, outcome) > raw_auc(dosage, outcome) + 0.02


def test_held_out_people_do_not_choose_the_model(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    flipped = outcome.phenotype.copy()
    flipped[~outcome.training] = 1 - flipped[~outcome.training]
    other = Outcome(flipped, outcome.training)
    assert best_raw_auc(dosage, other) == pytest.approx(1 - best_raw_auc(dosage, outcome))


def test_ratios() -> None:
    utility = Utility(auc=0.7, raw_auc=0.75, best_raw_auc=0.8)
    assert (utility.ratio, utility.versus_best_raw) == (pytest.approx(0.7 / 0.75), pytest.approx(0.875))
    assert utility.chance_corrected == pytest.approx(0.8)
    assert Utility(auc=0.6, raw_auc=0.5, best_raw_auc=0.5).chance_corrected == 0.0


def test_one_sided_outcomes_are_refused() -> None:
    phenotype = np.array([0, 1, 1, 1], dtype=np.int8)
    with pytest.raises(InputError, match="held-out people do not hold both"):
        Outcome(phenotype, np.array([True, True, False, False]))
