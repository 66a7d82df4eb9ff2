"""The best raw model of many people, against scikit-learn on few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from afml.evaluation.attacks.base import Int8
from afml.evaluation.utility import Outcome, best_raw_auc, large, penalties, pipeline
from afml.evaluation.utility.pipeline import features_of, standardise
from tests.simulated import simulate_dosage

CAUSAL = np.array([3, 20, 41])


@pytest.fixture(scope="module")
def study() -> tuple[Int8, Outcome, Outcome]:
    dosage = simulate_dosage(900, 60, 12)
    rng = np.random.default_rng(0)
    trait = dosage[:, CAUSAL].sum(axis=1) + rng.normal(size=900)
    split = np.arange(900) % 4 != 0
    covariates = rng.normal(size=(900, 1))
    binary = Outcome((trait + covariates[:, 0] > 2).astype(np.int8), split, covariates)
    return dosage, binary, replace(binary, phenotype=trait)


def test_the_solutions_are_those_of_ridge_and_lasso(study: tuple[Int8, Outcome, Outcome]) -> None:
    dosage, binary, _ = study
    features = features_of(dosage, binary)
    response = (binary.phenotype - binary.phenotype.mean()) * 4.0
    weights, lasso = np.array([[5.0, 40.0]]), np.array([[False, True]])
    found = large._solutions(features.T @ features, (features.T @ response)[:, None], weights, lasso)
    ridge = Ridge(alpha=5.0, fit_intercept=False).fit(features, response)
    few = Lasso(alpha=40.0 / 900, fit_intercept=False, tol=1e-10).fit(features, response)
    np.testing.assert_allclose(found[:, 0, 0], ridge.coef_, atol=1e-9)
    np.testing.assert_allclose(found[:, 0, 1], few.coef_, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_fits_by_bounds_are_liblinears(study: tuple[Int8, Outcome, Outcome], kind: type) -> None:
    dosage, binary, number = study
    rare = replace(binary, phenotype=(number.phenotype > np.quantile(number.phenotype, 0.9)).astype(np.int8))
    features, train = features_of(dosage, binary).astype(kind), binary.training
    asked = [(one, size) for one in (binary, rare) for size in (0.02, 0.1, 0.3)]
    found = large.lasso_aucs(features, [one for one, _ in asked], [size for _, size in asked])
    for (outcome, size), reached in zip(asked, found, strict=True):
        model = LogisticRegression(l1_ratio=1.0, solver="liblinear", C=size, max_iter=1000, tol=1e-8, random_state=0)
        model.fit(features[train], outcome.phenotype[train])
        whole = roc_auc_score(outcome.phenotype[~train], model.decision_function(features[~train]))
        assert reached == pytest.approx(whole, abs=2e-3)


def test_penalties_chosen_at_once_are_as_good(
    study: tuple[Int8, Outcome, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    dosage, binary, number = study
    assert penalties(dosage, [binary, number]) == [None, None]
    slow = [best_raw_auc(dosage, one) for one in (binary, number)]
    monkeypatch.setattr(large, "PEOPLE", 100)
    chosen = penalties(dosage, [binary, number])
    assert None not in chosen
    for one, penalty, expected in zip((binary, number), chosen, slow, strict=True):
        assert best_raw_auc(dosage, one, penalty) == pytest.approx(expected, abs=0.01)


def test_single_precision_changes_no_figure(
    study: tuple[Int8, Outcome, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    dosage, binary, _ = study
    holes = dosage.copy()
    holes[::7, 5] = -1
    exact = standardise(holes, binary.training)
    monkeypatch.setattr(pipeline, "CELLS", 0)
    single = standardise(holes, binary.training)
    assert (exact.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(single, exact, atol=1e-5)
    assert features_of(holes, binary).dtype == np.float32
