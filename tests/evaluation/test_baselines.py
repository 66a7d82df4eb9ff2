from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.attacks import baseline_suite
from afml.evaluation.baselines import (
    BINNED,
    RANDOM,
    STATIC,
    Level,
    Method,
    Study,
    binned_score,
    compare,
    random_level,
    random_mask,
    ranked_sites,
    risk_score,
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
        (RANDOM, "utility"), (STATIC, "utility"), (BINNED, "utility"), ("other", "utility"),
        (RANDOM, "retention"), (STATIC, "retention"),
    }  # fmt: skip
    assert rows[STATIC, "retention"].rr == rows["other", "utility"].rr == pytest.approx(rr)
    assert rows[STATIC, "utility"].utility_ratio >= release.auc / study.raw_auc
    assert found.rr_reduction_vs_random == pytest.approx(1 - rr / rows[RANDOM, "utility"].rr)
    assert {point.name for point in found.frontier} == {RANDOM, STATIC, BINNED, "other"}


def test_matched_retention_shows_as_much(study: Study) -> None:
    assert random_level(study, 1.0).auc == study.raw_auc
    shown = retained_fraction(random_mask(0.2, 0, 1)(study.dosage), "major")
    assert shown == pytest.approx(0.2 * retained_fraction(study.dosage, "major"), rel=0.1)
