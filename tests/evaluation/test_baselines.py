from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from afml.evaluation.attacks import MaskerAwareLinkage, baseline_suite
from afml.evaluation.baselines import (
    BINNED,
    GROUPED_RANDOM,
    GROUPED_STATIC,
    RANDOM,
    RESPONSE,
    STATIC,
    Level,
    Method,
    Study,
    binned_score,
    compare,
    grouped_methods,
    mask_rare,
    merge_prefixes,
    random_level,
    random_mask,
    randomised_response,
    ranked_sites,
    risk_score,
    sensitive_mask,
    static_level,
    static_mask,
)
from afml.evaluation.rr import retained_fraction
from afml.evaluation.utility import Outcome, raw_auc
from tests.simulated import simulate_dosage

CAUSAL = np.array([5, 40, 77])


@pytest.fixture(scope="module")
def study() -> Study:
    dosage = simulate_dosage(500, 96, 6)
    private, panel = dosage[:400], dosage[400:]
    rng = np.random.default_rng(0)
    liability = private[:, CAUSAL].sum(axis=1) + rng.normal(size=400)
    outcome = Outcome((liability > np.median(liability)).astype(np.int8), np.arange(400) % 4 != 0)
    return Study(private, private, outcome, raw_auc(private, outcome), panel, "major", 0.01, 1)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    weights = np.zeros(96)
    weights[CAUSAL] = [1.0, 1.2, 0.9]
    return weights


def test_matching_takes_the_first_level_that_reaches_the_utility() -> None:
    levels = tuple(Level(str(auc), auc, lambda _: 0.0) for auc in (0.5, 0.61, 0.7, 0.69, 0.7))
    method = Method("m", levels)
    assert method.reaching(0.6) is levels[1]
    assert method.reaching(0.69) is levels[2]
    assert method.reaching(0.9) is levels[2]  # out of reach: the most useful level, and the least of those


def test_random_masks_keep_their_rate_and_repeat() -> None:
    dosage = np.ones((300, 200), dtype=np.int8)
    mask = random_mask(0.1, -1, 7)
    released = mask(dosage)
    assert (released == 1).mean() == pytest.approx(0.1, abs=0.005)
    np.testing.assert_array_equal(released, mask(dosage))
    assert (released != random_mask(0.1, -1, 8)(dosage)).any()


def test_static_masks_show_the_same_sites_of_everybody(weights: np.ndarray, study: Study) -> None:
    released = static_mask(CAUSAL, -1)(study.dosage)
    assert set(np.flatnonzero((released >= 0).any(axis=0))) == set(CAUSAL)
    assert set(ranked_sites(study.panel, weights)) == set(CAUSAL)


def test_risk_scores_read_missing_calls_as_the_panel_mean(weights: np.ndarray, study: Study) -> None:
    unknown = np.full((1, 96), -1, dtype=np.int8)
    assert risk_score(unknown, study.panel, weights)[0] == pytest.approx((study.panel @ weights).mean())


def test_binned_scores_identify_one_of_each_bin(weights: np.ndarray, study: Study) -> None:
    """With exact reference profiles RR is bins in use / people."""
    for level in binned_score(study, weights).levels:
        bins = int(level.label.split()[0])
        assert level.rr(()) <= bins / 400 + 1e-12
    two = binned_score(study, weights).levels[0]
    assert two.rr(()) == pytest.approx(2 / 400)


def test_comparison_rows(weights: np.ndarray, study: Study) -> None:
    release = static_level(study, weights, 2)
    released = static_mask(ranked_sites(study.panel, weights)[:2], 0)(study.dosage)
    rr = release.rr(baseline_suite())
    found = compare(
        study,
        auc=release.auc,
        rr=rr,
        retained=retained_fraction(released, "major"),
        weights=weights,
        methods=[Method("other", (release,))],
        attacks=baseline_suite(),
    )
    rows = {(row.name, row.matched): row for row in found.rows}
    assert set(rows) == {
        (RANDOM, "utility"), (STATIC, "utility"), (BINNED, "utility"), (RESPONSE, "utility"), ("other", "utility"),
        (RANDOM, "retention"), (STATIC, "retention"),
    }  # fmt: skip
    assert rows[STATIC, "retention"].rr == rows["other", "utility"].rr == pytest.approx(rr)
    assert rows[STATIC, "utility"].utility_ratio >= release.auc / study.raw_auc
    assert found.rr_reduction_vs_random == pytest.approx(1 - rr / rows[RANDOM, "utility"].rr)
    assert {point.name for point in found.frontier} == {RANDOM, STATIC, BINNED, RESPONSE, "other"}


def test_matched_retention_shows_as_much(study: Study) -> None:
    assert random_level(study, 1.0).auc == study.raw_auc
    shown = retained_fraction(random_mask(0.2, 0, 1)(study.dosage), "major")
    assert shown == pytest.approx(0.2 * retained_fraction(study.dosage, "major"), rel=0.1)


def test_randomised_response_keeps_its_epsilon() -> None:
    dosage = np.random.default_rng(0).integers(-1, 3, (400, 300)).astype(np.int8)
    for epsilon in (0.5, 2.0):
        shown = randomised_response(epsilon, 3)(dosage)
        called = dosage >= 0
        np.testing.assert_array_equal(shown[~called], -1)
        for true in range(3):
            rates = [(shown[dosage == true] == value).mean() for value in range(3)]
            lies = [rate for value, rate in enumerate(rates) if value != true]
            assert rates[true] / lies[0] == pytest.approx(np.exp(epsilon), rel=0.08)
            assert lies[0] == pytest.approx(lies[1], abs=0.01)


def test_sensitive_sites_are_hidden_and_nothing_else() -> None:
    dosage = np.ones((4, 6), dtype=np.int8)
    released = sensitive_mask(np.array([1, 4]), 0)(dosage)
    assert released.sum(axis=0).tolist() == [4, 0, 4, 4, 0, 4]
    assert dosage.all()


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("size", [1, 5, 20, 79])
def test_merged_records_form_groups_and_show_only_the_truth(size: int, value: int) -> None:
    dosage = simulate_dosage(79, 30, 2)
    sites = np.array([7, 3, 22, 11, 0])
    static = static_mask(sites, value)(dosage)
    random = random_mask(0.05, value, 1)(dosage)
    for records, merged in (
        (static, merge_prefixes(static, sites, size, value)),
        (random, mask_rare(random, size, value)),
    ):
        counts = np.unique(merged, axis=0, return_counts=True)[1]
        assert counts.min() >= size
        assert ((merged == records) | (merged == value)).all()
    if size == 1:
        np.testing.assert_array_equal(merge_prefixes(static, sites, 1, value), static)


def test_a_file_below_the_group_size_shows_nothing() -> None:
    dosage = simulate_dosage(10, 12, 1)
    assert not mask_rare(dosage, 11, 0).any()


def test_prefixes_are_as_long_as_groups_allow() -> None:
    """(1, 1) is shared twice and stays; two more share (1, .); whoever is alone shows nothing, and so joins them."""
    records = np.array([[1, 1], [1, 1], [1, 2], [1, 0], [2, 1], [0, 1]], dtype=np.int8)
    merged = merge_prefixes(records, np.array([0, 1]), 2, -1)
    assert merged.tolist() == [[1, 1], [1, 1], [1, -1], [1, -1], [-1, -1], [-1, -1]]


def test_grouped_baselines_bound_rr_in_every_file(study: Study, weights: np.ndarray) -> None:
    grouped = dataclasses.replace(study, files=(200, 200), min_group_size=20)
    methods = grouped_methods(grouped, weights)
    assert [method.name for method in methods] == [GROUPED_STATIC, GROUPED_RANDOM]
    assert grouped_methods(study, weights) == ()
    for method in methods:
        for level in method.levels:
            # 20 people of one file share every pattern: at most 20 patterns over 400 people.
            assert level.rr((MaskerAwareLinkage(),)) <= 20 / 400 + 1e-12
