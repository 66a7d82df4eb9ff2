"""Relatives, two releases, groups of people and recovery, on cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from afml.core.errors import InputError
from afml.evaluation.again import joined, joint_groups, matching, two_releases
from afml.evaluation.attacks import Knowledge
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.disclosure import BeaconPresence, Judged, infer_membership
from afml.evaluation.disclosure.membership import area, auc, measured
from afml.evaluation.disclosure.recovery import recover
from afml.evaluation.disclosure.scores import Score, invert
from afml.evaluation.inputs import OtherRelease
from afml.evaluation.masks import static_mask
from afml.evaluation.relatives import rr_by_degree
from afml.evaluation.rr import attack_all
from tests.evaluation.cases import make_case
from tests.simulated import simulate_dosage


def test_unmasked_records_are_found_by_their_relatives_the_nearer_the_better() -> None:
    case, people = make_case()
    points = rr_by_degree(case, people, [LikelihoodLinkage(), KinshipLinkage()])
    assert [point.kinship for point in points] == [0.25, 0.125, 0.0625]
    assert points[0].rr > 0.95
    assert points[0].rr > points[1].rr > points[2].rr > 2 * points[2].chance
    assert all(point.ci95[0] <= point.rr <= point.ci95[1] for point in points)


def test_a_release_that_says_nothing_says_nothing_of_relatives() -> None:
    case, people = make_case(np.zeros_like)
    for point in rr_by_degree(case, people, [LikelihoodLinkage(), MaskerAwareLinkage()]):
        assert point.rr == pytest.approx(point.chance)


def test_two_releases_single_out_the_pairs_of_their_patterns() -> None:
    """Exact profiles, static sites: one hit a pair of patterns, as if all sites had been shown at once."""
    first, second = static_mask(np.array([3, 50]), 0), static_mask(np.array([120, 180]), 0)
    case, people = make_case(first)
    exact = replace(case, references=people, knowledge=replace(case.knowledge, genotype_error=1e-12))
    other = second(people)
    both = joined(exact, other, second)
    pairs = len(np.unique(np.concatenate([case.released, other], axis=1), axis=0))
    files = [case.released[:60], case.released[60:]], [other[:60], other[60:]]
    another = OtherRelease("another", second)
    found = two_releases(another, exact, files[1], [LikelihoodLinkage()], joint_groups(*files))
    assert (found.patterns, found.rr) == (pairs, pytest.approx(pairs / 120))
    assert found.patterns > len(case.patterns[0])
    rows, index = both.masks
    np.testing.assert_array_equal(rows[index], np.concatenate([first(people), other], axis=1))
    assert found.matched_by_chance == pytest.approx(2 / 120)
    counts = [
        np.unique(np.concatenate([case.released[f], other[f]], axis=1), axis=0, return_counts=True)[1].min()
        for f in (slice(0, 60), slice(60, 120))
    ]
    assert found.smallest_group == min(counts)


def test_the_same_release_twice_adds_nothing_and_is_matched_within_its_patterns() -> None:
    mask = static_mask(np.array([3]), 0)
    case, people = make_case(mask)
    case = replace(case, references=people, knowledge=replace(case.knowledge, genotype_error=1e-12))
    success = matching(case.released, case.released, case.knowledge, mask)
    assert success.mean() == pytest.approx(3 / 120)  # three patterns, each matched to itself
    alone = attack_all(case, [LikelihoodLinkage()])
    both = two_releases(OtherRelease("same", mask), case, [case.released], [LikelihoodLinkage()], (3, 1))
    assert both.rr == pytest.approx(alone.rr)


def test_unrelated_releases_are_matched_by_chance_and_other_people_are_refused() -> None:
    case, people = make_case(static_mask(np.array([3]), 0))
    nothing = np.zeros_like(people)
    success = matching(case.released, nothing, case.knowledge, np.zeros_like)
    np.testing.assert_allclose(success, 1 / 120)
    with pytest.raises(InputError, match="same people at the same sites"):
        joined(case, nothing[:5], np.zeros_like)


def test_the_interval_of_membership_is_of_the_worst_attack_and_holds_the_truth_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(3), 0
    everybody, halves = np.arange(60), (np.arange(30), np.arange(30, 60))
    truth = float(norm.cdf(0.7 / np.sqrt(2)))
    for _ in range(300):
        members, others = rng.normal(0.7, 1, 60), rng.normal(0, 1, 60)
        told = [Judged("tells", members, others[half], everybody, half) for half in halves]
        blind = [Judged("blind", -members, others[half], everybody, half) for half in halves]
        found = measured([*told, *blind])
        assert found.ci95 is not None
        assert found.ci95 == area(told)[1]  # type: ignore[index]
        assert found.auc == pytest.approx(np.mean([auc(members, others[half]) for half in halves]))
        covered += found.ci95[0] <= truth <= found.ci95[1]
    assert 0.90 < covered / 300 < 0.985
    alone = [Judged("tells", np.ones(1), np.zeros(30), np.zeros(1, np.int64), half) for half in halves]
    assert measured(alone).ci95 is None


def slow_presence(released: Int8, profile: Int8, knowledge: Knowledge) -> float:
    carried, shown = knowledge.complete_panel > 0, knowledge.released_panel > 0
    pooled, people, n, total = (shown & carried).sum() / carried.sum(), len(carried), len(released), 0.0
    for s in range(released.shape[1]):
        if profile[s] <= 0:
            continue
        c = ((shown & carried)[:, s].sum() + pooled) / (carried[:, s].sum() + 1)
        c = min(c, 1 - knowledge.genotype_error)
        q = (shown[:, s].sum() + pooled * (1 - knowledge.frequencies[s, 0])) / (people + 1)
        out, within = (1 - q) ** n, (1 - c) * (1 - q) ** (n - 1)
        yes = (released[:, s] > 0).any()
        total += np.log((1 - within) / (1 - out)) if yes else np.log(within / out)
    return float(total)


def test_presence_equals_the_slow_reference_and_finds_carriers_of_rare_alleles() -> None:
    rng = np.random.default_rng(3)
    rare = rng.uniform(0.002, 0.02, 400)
    dosage = rng.binomial(2, rare, (500, 400)).astype(np.int8)
    knowledge = Knowledge(dosage[100:], lambda d: d)
    released = dosage[:40]
    profiles = dosage[:80]
    expected = [slow_presence(released, profile, knowledge) for profile in profiles]
    found = BeaconPresence().score(released, profiles, knowledge)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert auc(found[:40], found[40:]) > 0.95
    assert infer_membership(released, released, knowledge, [BeaconPresence()]).auc > 0.95


def test_recovery_counts_what_follows_from_a_record() -> None:
    case, people = make_case()
    all_of_it = recover(case.released, people, case.knowledge)
    assert all_of_it.accuracy > 0.99
    nothing, _ = make_case(np.zeros_like)
    none = recover(nothing.released, people, nothing.knowledge)
    assert none.accuracy == pytest.approx(none.panel_accuracy, abs=0.02)
    assert set(none.accuracy_by_attack) == {"imputation", "inversion"}

    class Knows:
        name = "knows"

        def impute(self, records: Int8, knowledge: Knowledge) -> Float64:
            return np.asarray(np.eye(3)[np.zeros_like(records, dtype=np.int64)])

    only = recover(nothing.released, people, nothing.knowledge, [Knows()])
    assert only.accuracy == pytest.approx((people == 0).mean())


@pytest.mark.parametrize("seed", range(4))
def test_inverted_scores_are_the_enumeration_of_all_genotypes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frequencies = rng.dirichlet(np.ones(3), size=7)
    score = Score(np.array([5, 0, 3, 6, 2]), rng.integers(-6, 7, 5))
    person = rng.integers(0, 3, (1, 7)).astype(np.int8)
    value = int(score.of(person)[0])
    expected = np.zeros((5, 3))
    for genotypes in product(range(3), repeat=5):
        if int(np.dot(genotypes, score.weights)) == value:
            weight = np.prod([frequencies[s, g] for s, g in zip(score.columns, genotypes, strict=True)])
            for k, g in enumerate(genotypes):
                expected[k, g] += weight
    found = invert([score], [value], frequencies)
    np.testing.assert_allclose(found[score.columns], expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)
    np.testing.assert_array_equal(found[[1, 4]], frequencies[[1, 4]])


def test_scores_with_decimals_give_their_genotypes_away() -> None:
    rng = np.random.default_rng(8)
    dosage = simulate_dosage(60, 40, 8)
    frequencies = np.stack([(dosage == g).mean(axis=0) for g in range(3)], axis=1)
    scores = [Score(rng.choice(40, size, replace=False), rng.integers(-9999, 9999, size)) for size in (4, 5, 6, 12)]
    person = dosage[:1]
    belief = invert(scores, [int(one.of(person)[0]) for one in scores], frequencies)
    small = np.unique(np.concatenate([one.columns for one in scores[:3]]))
    np.testing.assert_array_equal(belief[small].argmax(axis=1), person[0, small])
    with pytest.raises(InputError, match="no genotypes give this score"):
        invert([Score(np.array([0]), np.array([2]))], [1], frequencies)
    with pytest.raises(InputError, match="no genotypes give this score"):
        invert([Score(np.array([0]), np.array([2]))], [5], frequencies)
    with pytest.raises(InputError, match="cannot be tabulated"):
        invert([Score(np.array([0, 1]), np.array([1 << 24, 1 << 24]))], [1 << 25], frequencies)
