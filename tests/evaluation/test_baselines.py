from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from afml.evaluation.attacks import baseline_suite
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.baselines import (
    BINNED,
    GROUPED_RANDOM,
    GROUPED_STATIC,
    RANDOM,
    RESPONSE,
    STATIC,
    Comparands,
    Family,
    Level,
    UnderTest,
    binned_score,
    compare,
    grouped,
    grouped_families,
    static_sites,
)
from afml.evaluation.baselines.binned import risk_score
from afml.evaluation.baselines.masked import random_level, ranked_sites, static_level
from afml.evaluation.masks import random_mask, static_mask
from afml.evaluation.rr import retained_fraction
from afml.evaluation.utility import Outcome, covariate_auc, raw_auc, released_auc, score_auc
from tests.simulated import simulate_dosage

CAUSAL, SECOND = np.array([5, 40, 77]), np.array([12, 60])


@pytest.fixture(scope="module")
def comparands() -> Comparands:
    dosage = simulate_dosage(500, 96, 6)
    private, panel = dosage[:400], dosage[400:]
    rng = np.random.default_rng(0)
    liability = private[:, CAUSAL].sum(axis=1) + rng.normal(size=400)
    outcome = Outcome((liability > np.median(liability)).astype(np.int8), np.arange(400) % 4 != 0)
    return Comparands(private, private, outcome, raw_auc(private, outcome), panel, "major", 0.01, 1)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    weights = np.zeros(96)
    weights[CAUSAL] = [1.0, 1.2, 0.9]
    return weights


def test_matching_takes_the_first_level_that_reaches_the_utility() -> None:
    levels = tuple(Level(str(auc), auc, lambda _: 0.0) for auc in (0.5, 0.61, 0.7, 0.69, 0.7))
    family = Family("m", levels)
    assert family.reaching(0.6) is levels[1]
    assert family.reaching(0.69) is levels[2]
    assert family.reaching(0.9) is levels[2]  # out of reach: the most useful level, and the least of those


def test_static_masks_show_the_same_sites_of_everybody(weights: np.ndarray, comparands: Comparands) -> None:
    released = static_mask(CAUSAL, -1)(comparands.dosage)
    assert set(np.flatnonzero((released >= 0).any(axis=0))) == set(CAUSAL)
    assert set(ranked_sites(comparands.panel, weights)) == set(CAUSAL)


def test_risk_scores_read_missing_calls_as_the_panel_mean(weights: np.ndarray, comparands: Comparands) -> None:
    unknown = np.full((1, 96), -1, dtype=np.int8)
    assert risk_score(unknown, comparands.panel, weights)[0] == pytest.approx((comparands.panel @ weights).mean())


def test_binned_scores_identify_one_of_each_bin(weights: np.ndarray, comparands: Comparands) -> None:
    """With exact reference profiles RR is bins in use / people."""
    for level in binned_score(comparands, weights).levels:
        bins = int(level.label.split()[0])
        assert level.rr(()) <= bins / 400 + 1e-12
    two = binned_score(comparands, weights).levels[0]
    assert two.rr(()) == pytest.approx(2 / 400)


def test_comparison_rows(weights: np.ndarray, comparands: Comparands) -> None:
    release = static_level(comparands, weights, 2)
    released = static_mask(ranked_sites(comparands.panel, weights)[:2], 0)(comparands.dosage)
    rr = release.rr(baseline_suite())
    found = compare(
        comparands,
        UnderTest(release.auc, rr, retained_fraction(released, "major")),
        weights=weights,
        others=[Family("other", (release,))],
        attacks=baseline_suite(),
    )
    rows = {(row.name, row.matched): row for row in found.rows}
    assert set(rows) == {
        (RANDOM, "utility"), (STATIC, "utility"), (BINNED, "utility"), (RESPONSE, "utility"), ("other", "utility"),
        (RANDOM, "retention"), (STATIC, "retention"),
    }  # fmt: skip
    assert rows[STATIC, "retention"].rr == rows["other", "utility"].rr == pytest.approx(rr)
    assert rows[STATIC, "utility"].utility_ratio >= release.auc / comparands.raw_auc
    assert found.rr_reduction_vs_random == pytest.approx(1 - rr / rows[RANDOM, "utility"].rr)
    assert {point.name for point in found.frontier} == {RANDOM, STATIC, BINNED, RESPONSE, "other"}


@pytest.fixture(scope="module")
def several(comparands: Comparands) -> Comparands:
    """A second phenotype of the same people, which the release is said to serve worse."""
    rng = np.random.default_rng(1)
    liability = 3 * comparands.dosage[:, SECOND].sum(axis=1) + rng.normal(size=400)
    outcome = Outcome((liability > np.median(liability)).astype(np.int8), comparands.outcome.training)
    raw = raw_auc(comparands.dosage, outcome)
    both = ((comparands.outcome, comparands.raw_auc), (outcome, raw))
    return dataclasses.replace(comparands, outcome=outcome, raw_auc=raw, phenotypes=both)


@pytest.fixture(scope="module")
def both(weights: np.ndarray) -> np.ndarray:
    second = np.zeros(96)
    second[SECOND] = [2.0, 1.5]
    return np.stack([weights, second])


def test_one_phenotype_is_the_same_however_it_is_given(comparands: Comparands, weights: np.ndarray) -> None:
    listed = dataclasses.replace(comparands, phenotypes=((comparands.outcome, comparands.raw_auc),))
    assert np.array_equal(ranked_sites(comparands.panel, weights), ranked_sites(comparands.panel, weights[None]))
    attacks = (MaskerAwareLinkage(),)
    for family in (static_sites, binned_score):
        first, second = family(comparands, weights), family(listed, weights[None])
        assert [(one.label, one.auc, one.rr(attacks)) for one in first.levels] == [
            (one.label, one.auc, one.rr(attacks)) for one in second.levels
        ]


def test_top_sites_of_several_phenotypes_are_the_union_of_those_of_each(
    comparands: Comparands, both: np.ndarray
) -> None:
    order = ranked_sites(comparands.panel, both)
    each = [ranked_sites(comparands.panel, own).tolist() for own in both]
    assert order.tolist() == [each[0][0], each[1][0], each[0][1], each[1][1], each[0][2]]
    shared = both.copy()
    shared[1, each[0][0]] = 9.0  # the top site of both comes once
    assert ranked_sites(comparands.panel, shared).tolist()[:2] == [each[0][0], each[0][1]]


def test_a_level_is_worth_what_it_is_worth_for_the_phenotype_it_serves_worst(
    several: Comparands, both: np.ndarray
) -> None:
    family = static_sites(several, both)
    assert [level.label for level in family.levels] == ["2 sites", "4 sites", "5 sites"]
    released = static_mask(ranked_sites(several.panel, both)[:4], 0)(several.dosage)
    ratios = [released_auc(released, outcome) / raw for outcome, raw in several.phenotypes]
    assert family.levels[1].auc / several.raw_auc == pytest.approx(min(ratios))
    # The sites of one phenotype alone serve the other hardly better than chance.
    alone = static_sites(several, np.stack([both[0], both[0]])).levels[-1]
    assert alone.auc < family.levels[-1].auc - 0.05
    assert random_level(several, 1.0).auc == pytest.approx(several.raw_auc)


def test_with_covariates_worth_counts_what_genotypes_add(several: Comparands, both: np.ndarray) -> None:
    rng = np.random.default_rng(8)
    known = (several.phenotypes[0][0].phenotype + rng.normal(size=400))[:, None]  # tells much of the first phenotype
    outcomes = [dataclasses.replace(one, covariates=known) for one, _ in several.phenotypes]
    declared = tuple((one, raw_auc(several.dosage, one)) for one in outcomes)
    comparands = dataclasses.replace(several, outcome=outcomes[1], raw_auc=declared[1][1], phenotypes=declared)
    mask = static_mask(ranked_sites(comparands.panel, both)[:2], 0)
    aucs = comparands.aucs(mask(comparands.dosage))
    base = [max(0.5, covariate_auc(one)) for one in outcomes]
    assert base[0] > 0.65
    added = [(aucs[d] - base[d]) / (declared[d][1] - base[d]) for d in range(2)]
    expected = base[1] + min(added) * (comparands.raw_auc - base[1])
    assert comparands.worth(aucs) == pytest.approx(expected)
    assert comparands.worth(np.array([raw for _, raw in declared])) == pytest.approx(comparands.raw_auc)
    assert comparands.worth(np.array(base)) == pytest.approx(base[1])  # covariates are no merit of a release


def test_bins_of_several_scores_are_shown_and_attacked_together(several: Comparands, both: np.ndarray) -> None:
    level = binned_score(several, both).levels[1]
    assert level.label == "3 bins"
    scores = [risk_score(several.dosage, several.panel, own) for own in both]
    edges = [np.unique(np.quantile(risk_score(several.panel, several.panel, own), [1 / 3, 2 / 3])) for own in both]
    cells = [tuple(int((cut < score[i]).sum()) for cut, score in zip(edges, scores, strict=True)) for i in range(400)]
    # References are exact here: whoever shows a cell is one of those who are in it.
    assert level.rr(()) == pytest.approx(np.mean([1 / cells.count(cell) for cell in cells]))
    assert level.rr(()) == pytest.approx(len(set(cells)) / 400)
    shown = np.array(cells)
    ratios = [
        score_auc(shown[:, d].astype(float), outcome) / raw for d, (outcome, raw) in enumerate(several.phenotypes)
    ]
    assert level.auc / several.raw_auc == pytest.approx(min(ratios))


def test_the_nearest_cell_is_that_of_fewest_bins_away(several: Comparands, both: np.ndarray) -> None:
    """The attack against one written out in loops, with references that are off by some calls."""
    rng = np.random.default_rng(3)
    wrong = rng.random(several.dosage.shape) < 0.1
    noisy = np.where(wrong, (several.dosage + 1) % 3, several.dosage).astype(np.int8)
    comparands = dataclasses.replace(several, references=noisy)
    level = binned_score(comparands, both).levels[2]
    cut = [
        np.unique(np.quantile(risk_score(comparands.panel, comparands.panel, own), [0.25, 0.5, 0.75])) for own in both
    ]

    def cells(people: np.ndarray) -> list[list[int]]:
        scores = [risk_score(people, comparands.panel, own) for own in both]
        return [[int((cut[d] < scores[d][i]).sum()) for d in range(2)] for i in range(400)]

    success, seen = 0.0, cells(noisy)
    for person, cell in enumerate(cells(comparands.dosage)):
        away = [sum(abs(a - b) for a, b in zip(cell, other, strict=True)) for other in seen]
        success += (away[person] == min(away)) / away.count(min(away))
    assert level.rr(()) == pytest.approx(success / 400)


def test_comparison_of_several_phenotypes(several: Comparands, both: np.ndarray) -> None:
    released = static_mask(ranked_sites(several.panel, both)[:4], 0)(several.dosage)
    auc = several.worth(several.aucs(released))
    found = compare(
        several, UnderTest(auc, 0.1, retained_fraction(released, "major")), weights=both, others=[],
        attacks=(MaskerAwareLinkage(),),
    )  # fmt: skip
    rows = {(row.name, row.matched): row for row in found.rows}
    assert rows[STATIC, "utility"].utility_ratio == pytest.approx(auc / several.raw_auc)
    assert rows[STATIC, "retention"].utility_ratio == pytest.approx(auc / several.raw_auc)


def test_families_of_many_people_are_judged_side_by_side_and_are_the_same(
    comparands: Comparands, weights: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> object:
        release = UnderTest(auc=0.7, rr=0.01, retained=0.05)
        return compare(comparands, release, weights=weights, others=(), attacks=baseline_suite(0)[:2])

    here = found()
    monkeypatch.setattr(sys.modules[compare.__module__], "IN_CHILDREN_FROM", 0)
    assert found() == here


def test_matched_retention_shows_as_much(comparands: Comparands) -> None:
    assert random_level(comparands, 1.0).auc == comparands.raw_auc
    shown = retained_fraction(random_mask(0.2, 0, 1)(comparands.dosage), "major")
    assert shown == pytest.approx(0.2 * retained_fraction(comparands.dosage, "major"), rel=0.1)


def test_groups_of_many_people_are_made_side_by_side_and_are_the_same(
    comparands: Comparands, weights: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = dataclasses.replace(
        comparands, dosage=comparands.dosage[::3], everybody=comparands.dosage, files=(150, 250), min_group_size=10,
        outcome=comparands.outcome.of(np.arange(0, 400, 3)), rows=np.arange(0, 400, 3),
    )  # fmt: skip

    def found() -> list[tuple[str, float, float]]:
        return [
            (one.label, one.auc, one.rr(baseline_suite(0)[:1]))
            for make in grouped_families(some, weights)
            for one in make().levels[:3]
        ]

    here = found()
    monkeypatch.setattr(grouped, "IN_CHILDREN_FROM", 0)
    assert found() == here
    assert len({auc for _, auc, _ in here}) > 1


def test_grouped_baselines_bound_rr_in_every_file(comparands: Comparands, weights: np.ndarray) -> None:
    in_groups = dataclasses.replace(comparands, files=(200, 200), min_group_size=20)
    families = [make() for make in grouped_families(in_groups, weights)]
    assert [family.name for family in families] == [GROUPED_STATIC, GROUPED_RANDOM]
    assert grouped_families(comparands, weights) == ()
    for family in families:
        for level in family.levels:
            # 20 people of one file share every pattern: at most 20 patterns over 400 people.
            assert level.rr((MaskerAwareLinkage(),)) <= 20 / 400 + 1e-12
