from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Int8
from afml.evaluation.utility import (
    Outcome,
    Utility,
    as_read,
    best_raw_auc,
    calibration,
    covariate_auc,
    outcomes,
    raw_auc,
    released_auc,
    score_auc,
    selection,
    standardise,
    utility_of,
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
def test_a_constant_release_predicts_nothing_and_warns_nobody(study: tuple[Int8, Outcome], value: int) -> None:
    dosage, outcome = study
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert released_auc(np.full_like(dosage, value), outcome) == 0.5
        assert score_auc(np.zeros(len(dosage)), outcome) == 0.5


def test_missing_masks_are_read_as_the_better_of_two_ways(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    only_hets = np.where(dosage == 1, 1, -1).astype(np.int8)  # constant where shown: the pattern is the message
    as_zero = np.where(dosage == 1, 1, 0).astype(np.int8)
    assert released_auc(only_hets, outcome) == released_auc(as_zero, outcome)
    rng = np.random.default_rng(1)
    holes = np.where(rng.random(dosage.shape) < 0.5, dosage, -1).astype(np.int8)
    assert released_auc(holes, outcome) >= released_auc(np.maximum(holes, 0), outcome) - 0.05


def test_sites_that_are_masked_in_everybody_are_read_in_one_way(
    study: tuple[Int8, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    dosage, outcome = study
    static = np.where(np.isin(np.arange(200), [10, 90, 150]), dosage, -1).astype(np.int8)
    both = [released_auc(one, outcome) for one in (static, np.where(static == -1, 0, static).astype(np.int8))]
    monkeypatch.setattr(selection, "_cross_validated", None)  # nobody asks
    assert both == [released_auc(static, outcome)] * 2


def test_one_fold_of_many_people_reads_masks_as_three_do(
    study: tuple[Int8, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    dosage, outcome = study
    only_hets = np.where(dosage == 1, dosage, -1).astype(np.int8)
    three = as_read(only_hets, outcome)
    monkeypatch.setattr(selection, "ONE_FOLD", 0)
    np.testing.assert_array_equal(as_read(only_hets, outcome), three)


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


def test_covariates_below_chance_do_not_flatter_a_release() -> None:
    found = Utility(auc=0.55, raw_auc=0.6, best_raw_auc=0.6, covariates_auc=0.4)
    assert found.base == 0.5
    assert found.chance_corrected == pytest.approx(0.5)  # 0.75 if it were counted from 0.4
    assert Utility(0.7, 0.8, 0.8, covariates_auc=0.6).chance_corrected == pytest.approx(0.5)


def test_what_is_comparable_and_how_well_it_is_served() -> None:
    assert not Utility(0.0, 0.0, 0.0, chance=0.0).comparable  # a trait that raw genotypes do not predict
    assert not Utility(0.2, 0.009, 0.2, chance=0.0).comparable
    assert Utility(0.0, 0.02, 0.02, chance=0.0).comparable
    assert not Utility(0.5, 0.505, 0.5).comparable
    assert Utility(0.5, 0.6, 0.6).served == pytest.approx(0.5 / 0.6)
    assert not Utility(0.7, 0.7, 0.7, covariates_auc=0.7).comparable
    adjusted = Utility(0.7, 0.8, 0.8, covariates_auc=0.65)
    assert adjusted.comparable
    assert adjusted.served == pytest.approx(1 / 3)
    components = Utility(0.02, 0.004, None, chance=0.0)
    assert components.comparable
    assert components.versus_best_raw is None


def test_one_sided_outcomes_are_refused() -> None:
    phenotype = np.array([0, 1, 1, 1], dtype=np.int8)
    with pytest.raises(InputError, match="held-out people do not hold both"):
        Outcome(phenotype, np.array([True, True, False, False]))


def test_calibration_of_the_truth_of_overfitting_and_of_nothing(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    few = np.zeros_like(dosage)
    few[:, [10, 90, 150]] = dosage[:, [10, 90, 150]]
    good, dense = calibration(few, outcome), calibration(dosage, outcome)
    assert good.slope is not None
    assert dense.slope is not None
    assert good.brier < good.brier_of_rate
    assert dense.slope < good.slope  # two hundred sites and 375 people: too sure
    empty = calibration(np.zeros_like(dosage), outcome)
    assert empty.slope is None
    assert empty.brier == pytest.approx(empty.brier_of_rate)
    truth = outcome.phenotype[~outcome.training]
    assert empty.brier == pytest.approx(((outcome.phenotype[outcome.training].mean() - truth) ** 2).mean())


def test_the_slope_is_that_of_an_unpenalised_fit_on_the_log_odds(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    train = outcome.training
    features = standardise(dosage, train)
    model = LogisticRegression(C=0.01, max_iter=1000).fit(features[train], outcome.phenotype[train])
    odds, truth = model.decision_function(features[~train]), outcome.phenotype[~train].astype(float)
    a = b = 0.0
    for _ in range(50):  # Newton
        p = 1 / (1 + np.exp(-(a + b * odds)))
        w, g = p * (1 - p), truth - p
        hessian = np.array([[w.sum(), (w * odds).sum()], [(w * odds).sum(), (w * odds**2).sum()]])
        a, b = np.array([a, b]) + np.linalg.solve(hessian, [g.sum(), (g * odds).sum()])
    assert calibration(dosage, outcome).slope == pytest.approx(b, rel=1e-2)


def explained(records: Int8, trait: np.ndarray, training: np.ndarray) -> float:
    return released_auc(records, Outcome(trait, training))


def test_explained_variance_of_a_quantitative_trait(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    rng = np.random.default_rng(3)
    signal = dosage[:, [10, 90, 150]] @ np.array([1.0, -1.0, 1.2])
    trait = signal + rng.normal(size=500) * signal.std()  # half of the variance
    few = np.zeros_like(dosage)
    few[:, [10, 90, 150]] = dosage[:, [10, 90, 150]]
    assert explained(few, trait, outcome.training) == pytest.approx(0.5, abs=0.12)
    assert explained(few, trait, outcome.training) > explained(dosage, trait, outcome.training)
    assert explained(np.zeros_like(dosage), trait, outcome.training) == 0.0
    hidden = np.where(few > 0, few, -1).astype(np.int8)
    assert explained(hidden, trait, outcome.training) > 0.3
    shifted = explained(few, 10 + 100 * trait, outcome.training)
    assert shifted == pytest.approx(explained(few, trait, outcome.training), rel=1e-6)


def test_one_outcome_a_phenotype(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    both = np.stack([outcome.phenotype, 1 - outcome.phenotype], axis=1)
    first, second = outcomes(both, outcome.training)
    assert len(outcomes(outcome.phenotype, outcome.training)) == 1
    assert raw_auc(dosage, first) == pytest.approx(raw_auc(dosage, second), abs=1e-6)
    assert utility_of(dosage, dosage, first).ratio == pytest.approx(1.0)


def test_a_quantitative_trait_has_ratios_of_its_own(study: tuple[Int8, Outcome]) -> None:
    dosage, outcome = study
    trait = dosage[:, [10, 90, 150]] @ np.array([1.0, -1.0, 1.2]) + np.random.default_rng(3).normal(size=500)
    number = Outcome(trait, outcome.training)
    few = np.zeros_like(dosage)
    few[:, [10, 90, 150]] = dosage[:, [10, 90, 150]]
    found = utility_of(few, dosage, number)
    train = outcome.training
    model = Ridge(alpha=100).fit(standardise(few, train)[train], trait[train])
    expected = np.corrcoef(model.predict(standardise(few, train)[~train]), trait[~train])[0, 1] ** 2
    assert found.auc == pytest.approx(expected)
    assert found.base == 0.0
    assert found.ratio == found.chance_corrected == pytest.approx(found.auc / found.raw_auc)
    assert found.best_raw_auc > found.raw_auc  # L1 finds the three
    nothing = utility_of(np.zeros_like(dosage), np.zeros_like(dosage), number)
    assert (nothing.auc, nothing.ratio, nothing.chance_corrected, nothing.versus_best_raw) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="held out"):
        Outcome(trait, np.ones(500, bool))


@pytest.mark.parametrize("quantitative", [False, True])
def test_covariates_stand_beside_raw_and_released_genotypes_alike(
    study: tuple[Int8, Outcome], quantitative: bool
) -> None:
    dosage, outcome = study
    rng = np.random.default_rng(4)
    sex = rng.integers(2, size=500).astype(np.float64)
    age = rng.normal(60, 9, size=500)
    liability = dosage[:, [10, 90]].sum(axis=1) + 1.5 * sex + 0.1 * age + rng.normal(size=500)
    value = liability if quantitative else (liability > np.median(liability)).astype(np.int8)
    plain = Outcome(value, outcome.training)
    covariates = np.stack([sex, age, np.ones(500)], axis=1)  # the last one says nothing
    adjusted = Outcome(value, outcome.training, covariates)
    assert raw_auc(dosage, adjusted) > raw_auc(dosage, plain) + 0.02
    base = covariate_auc(adjusted)
    empty = np.zeros_like(dosage)
    assert released_auc(empty, adjusted) == pytest.approx(base)
    assert covariate_auc(plain) == plain.chance == released_auc(empty, plain)
    found = utility_of(empty, dosage, adjusted)
    assert found.base == base > plain.chance + 0.05
    assert found.chance_corrected == pytest.approx(0.0, abs=1e-9)  # covariates are no merit of the release
    assert found.ratio > 0.5
    np.testing.assert_allclose(score_auc(np.zeros(500), adjusted), base)
    if not quantitative:
        assert calibration(empty, adjusted).slope is not None
