"""Outcomes of many people predicted at once, beside one outcome at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.baselines import Comparands
from afml.evaluation.masks import random_mask
from afml.evaluation.utility import (
    Outcome,
    as_read,
    judged,
    raw_auc,
    released_auc,
    standardise,
    together,
    utilities_and_calibrations,
    utility_and_calibration,
)
from afml.evaluation.utility.large import Penalty
from afml.evaluation.utility.pipeline import features_of
from tests.simulated import simulate_dosage

PEOPLE = 600


@pytest.fixture(scope="module")
def dosage() -> Int8:
    made = simulate_dosage(PEOPLE, 80, 5)
    made[::7, 3] = -1
    made[:, 11] = 1  # the same in everybody
    made[np.arange(PEOPLE) % 3 != 0, 12] = 0  # varies among those held out alone
    return made


@pytest.fixture(scope="module")
def outcomes(dosage: Int8) -> list[Outcome]:
    """Two binary outcomes and a number, with two covariates; every third person is held out."""
    rng = np.random.default_rng(3)
    covariates = np.stack([rng.integers(2, size=PEOPLE), rng.normal(55, 9, PEOPLE)], axis=1).astype(np.float64)
    liability = dosage[:, [5, 20, 40]] @ rng.normal(size=(3, 3)) + rng.normal(size=(PEOPLE, 3)) + covariates[:, :1]
    cases = [
        (liability[:, k] > np.quantile(liability[:, k], share)).astype(np.int8) for k, share in ((0, 0.5), (1, 0.8))
    ]
    training = np.arange(PEOPLE) % 3 != 0
    return [Outcome(values, training, covariates) for values in (*cases, liability[:, 2])]


def few_kinds(dosage: Int8) -> Int8:
    """Records of four sites each of which shows 0 or 2, so that at most 16 are distinct."""
    made = np.full_like(dosage, -1)
    made[:, [5, 20, 40, 60]] = np.where(dosage[:, [5, 20, 40, 60]] > 0, 2, 0)
    return made


def test_a_design_holds_the_features_of_everybody(dosage: Int8, outcomes: list[Outcome]) -> None:
    for records in (dosage, few_kinds(dosage), random_mask(0.2, -1, 1)(dosage)):
        design, seen = together.designed(records, outcomes[0])
        whole = features_of(records, outcomes[0])
        np.testing.assert_allclose(np.hstack([design.shown[design.of], design.beside]), whole, atol=2e-5)
        assert set(design.of[outcomes[0].training]) == set(range(seen))
    assert len(together.designed(few_kinds(dosage), outcomes[0])[0].shown) <= 16


def test_products_of_a_design_are_those_of_everybodys_features(dosage: Int8, outcomes: list[Outcome]) -> None:
    rng = np.random.default_rng(1)
    design, _ = together.designed(few_kinds(dosage), outcomes[0])
    whole = features_of(few_kinds(dosage), outcomes[0])
    weights, values = rng.normal(size=(design.width, 3)), rng.normal(size=(PEOPLE, 3))
    np.testing.assert_allclose(design.times(weights), whole @ weights, atol=1e-4)
    np.testing.assert_allclose(design.sums(values), whole.T @ values, atol=1e-2)
    np.testing.assert_allclose(design.gram(), whole.T @ whole, rtol=1e-4, atol=1e-2)


def reference(records: Int8 | Float64, outcome: Outcome) -> Float64:
    """What is predicted of held-out people by the pipeline's model, fitted to the last digit."""
    features, train = features_of(records, outcome), outcome.training
    if outcome.quantitative:
        return np.asarray(Ridge(100.0).fit(features[train], outcome.phenotype[train]).predict(features[~train]))
    model = LogisticRegression(C=0.01, tol=1e-10, max_iter=10_000).fit(features[train], outcome.phenotype[train])
    return np.asarray(model.decision_function(features[~train]))


@pytest.mark.parametrize("kind", ["raw", "few kinds", "masks", "scores", "nothing"])
def test_all_at_once_is_one_at_a_time(dosage: Int8, outcomes: list[Outcome], kind: str) -> None:
    scores = dosage[:, :6] @ np.random.default_rng(2).normal(size=(6, 2))
    records = {
        "raw": dosage, "few kinds": few_kinds(dosage), "masks": random_mask(0.3, -1, 1)(dosage), "scores": scores,
        "nothing": np.full_like(dosage, -1),
    }[kind]  # fmt: skip
    for told, outcome in zip(together.predicted(records, outcomes), outcomes, strict=True):
        np.testing.assert_allclose(told, reference(records, outcome), atol=2e-3)
    for one, outcome in zip(together.judged_by_all(records, outcomes), outcomes, strict=True):
        slow = judged(records, outcome)
        assert one.reached == pytest.approx(slow.reached, abs=1e-3)
        if slow.calibration is None:
            assert one.calibration is None
        else:
            assert one.calibration is not None
            assert one.calibration.brier == pytest.approx(slow.calibration.brier, abs=1e-3)
            assert one.calibration.slope == pytest.approx(slow.calibration.slope, rel=0.02)


def test_nothing_to_go_by_is_chance(dosage: Int8, outcomes: list[Outcome]) -> None:
    alone = [Outcome(one.phenotype, one.training) for one in outcomes]
    assert together.reached_by_all(np.zeros_like(dosage), alone).tolist() == [0.5, 0.5, 0.0]


def test_masks_are_read_in_the_better_way_whoever_is_held_out(dosage: Int8, outcomes: list[Outcome]) -> None:
    only_hets = np.where(dosage == 1, 1, -1).astype(np.int8)  # constant where shown: the pattern is the message
    np.testing.assert_array_equal(together.as_read_by_all(only_hets, outcomes), np.maximum(only_hets, 0))
    np.testing.assert_array_equal(as_read(only_hets, outcomes[0]), np.maximum(only_hets, 0))
    flipped = []
    for one in outcomes:
        phenotype = one.phenotype.copy()
        phenotype[~one.training] = phenotype[~one.training][::-1]
        flipped.append(Outcome(phenotype, one.training, one.covariates))
    for seed in range(6):
        holes = random_mask(0.3, -1, seed)(dosage)
        read = together.as_read_by_all(holes, outcomes)
        np.testing.assert_array_equal(together.as_read_by_all(holes, flipped), read)


def test_the_outcome_that_decides_holds_most_of_the_rarer_class(outcomes: list[Outcome]) -> None:
    even, rare, number = outcomes
    assert together._deciding([number, rare, even]) is even
    assert together._deciding([number, number]) is number


def test_baselines_of_many_people_are_worth_what_they_are_one_at_a_time(
    dosage: Int8, outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    phenotypes = tuple((one, raw_auc(dosage, one)) for one in outcomes[:2])
    asked = Comparands(dosage, dosage, *phenotypes[0], dosage, "missing", 0.01, 1, phenotypes=phenotypes)
    only_hets = np.where(dosage == 1, 1, -1).astype(np.int8)
    slow = asked.aucs(only_hets)
    assert slow.tolist() == [released_auc(only_hets, one) for one in outcomes[:2]]
    monkeypatch.setattr(together, "ONE_FOLD", 10)
    assert asked.aucs(only_hets) == pytest.approx(slow, abs=1e-3)


def test_sites_that_vary_in_one_person_of_many_are_kept() -> None:
    records = np.zeros((20_000, 2), dtype=np.int8)
    records[7, 0] = 1
    outcome = Outcome((np.arange(20_000) % 2).astype(np.int8), np.arange(20_000) % 5 != 0)
    design, _ = together.designed(records, outcome)
    np.testing.assert_allclose(design.shown[design.of], standardise(records, outcome.training), rtol=1e-4)


@pytest.mark.parametrize("l1", [False, True])
def test_utilities_of_many_people_are_those_of_one_outcome_at_a_time(
    dosage: Int8, outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch, l1: bool
) -> None:
    released = few_kinds(dosage)
    chosen: list[Penalty | None] = [(l1, 0.1), (True, 0.05), None]
    slow = [
        utility_and_calibration(released, dosage, one, penalty) for one, penalty in zip(outcomes, chosen, strict=True)
    ]
    monkeypatch.setattr(together, "ONE_FOLD", 10)
    found = utilities_and_calibrations(released, dosage, outcomes, chosen)
    for (one, judged_one), (other, judged_other) in zip(found, slow, strict=True):
        for figure in ("auc", "raw_auc", "best_raw_auc", "covariates_auc"):
            assert getattr(one, figure) == pytest.approx(getattr(other, figure), abs=1e-3)
        assert one.ratio_ci95 == pytest.approx(other.ratio_ci95, abs=5e-3)
        assert (judged_one is None) == (judged_other is None)
