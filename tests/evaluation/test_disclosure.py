"""Membership, inference of a genotype and homogeneity on cases whose answer is known, and slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Int8, Knowledge, reference_profiles
from afml.evaluation.disclosure import (
    FileFrequencies,
    GenotypeInference,
    LikelihoodMembership,
    PatternMembership,
    chosen_sites,
    homogeneity,
    infer_membership,
)
from afml.evaluation.disclosure.membership import auc, tpr_at
from afml.evaluation.masks import random_mask, static_mask
from tests.simulated import simulate_dosage


@pytest.fixture(scope="module")
def people() -> tuple[Int8, Int8]:
    """(200 released people, panel of 160)"""
    dosage = simulate_dosage(360, 128, 11)
    return dosage[:200], dosage[200:]


def profiles_of(dosage: Int8, knowledge: Knowledge, error: float = 0.01) -> Int8:
    rng = np.random.default_rng(2)
    return reference_profiles(dosage, knowledge.frequencies, error=error, missing=error, rng=rng)


def test_members_of_an_unmasked_file_are_all_found(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1], lambda dosage: dosage)
    found = infer_membership(people[0], profiles_of(people[0], knowledge), knowledge)
    assert found.auc == 1.0
    assert found.tpr_at_low_fpr == 1.0
    assert (found.members, found.non_members) == (200, 160)


@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_constant_file_says_nothing_about_membership(people: tuple[Int8, Int8], fill: str) -> None:
    value = 0 if fill == "major" else -1
    knowledge = Knowledge(people[1], lambda dosage: np.full_like(dosage, value), fill)  # type: ignore[arg-type]
    found = infer_membership(np.full_like(people[0], value), profiles_of(people[0], knowledge), knowledge)
    assert set(found.auc_by_attack.values()) == {0.5}
    assert found.tpr_at_low_fpr == 0.0


def test_few_shared_genotypes_leave_membership_near_chance(people: tuple[Int8, Int8]) -> None:
    mask = static_mask(np.array([3]), 0)
    knowledge = Knowledge(people[1], mask)
    found = infer_membership(mask(people[0]), profiles_of(people[0], knowledge), knowledge)
    assert 0.4 < found.auc < 0.6


def test_a_shown_genotype_that_is_rare_outside_the_file_is_found(people: tuple[Int8, Int8]) -> None:
    """Everybody in the file shows a genotype that one in ten carries outside: AUC 0.95, errors apart."""
    private = people[0].copy()
    private[:, 5] = 2
    panel = people[1].copy()
    panel[:, 5] = 2 * (np.arange(len(panel)) % 10 == 0)
    mask = static_mask(np.array([5]), 0)
    knowledge = Knowledge(panel, mask)
    found = infer_membership(mask(private), private, knowledge)
    areas = [area for name, area in found.auc_by_attack.items() if name != "presence"]  # that asks whether it is there
    assert min(areas) == pytest.approx(0.95, abs=0.02)


def test_a_small_file_is_betrayed_by_its_frequencies(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1], lambda dosage: dosage)
    few = people[0][:8]
    found = infer_membership(few, profiles_of(few, knowledge), knowledge, [FileFrequencies()])
    assert found.auc > 0.8


def test_the_likelihood_ratio_equals_the_slow_reference(people: tuple[Int8, Int8]) -> None:
    mask, public = random_mask(0.3, -1, 1), random_mask(0.3, -1, 2)
    knowledge = Knowledge(people[1][:, :30], public, "missing")
    records, calls = mask(people[0][:12, :30]), profiles_of(people[0][:15, :30], knowledge)
    expected = []
    for call in calls:
        total = 0.0
        for record in records:
            ratio = 1.0
            for s, (o, r) in enumerate(zip(record, call, strict=True)):
                channel = knowledge.channel[s, :, o + 1]
                ratio *= float(knowledge.given_reference[s, r + 1] @ channel)
                ratio /= float(knowledge.frequencies[s] @ channel)
            total += ratio
        expected.append(math.log(total / len(records)))
    np.testing.assert_allclose(LikelihoodMembership().score(records, calls, knowledge), expected, atol=0.02)


def test_own_pattern_and_frequencies_equal_the_slow_reference(people: tuple[Int8, Int8]) -> None:
    mask = static_mask(np.array([1, 4]), 0)
    knowledge = Knowledge(people[1][:, :20], mask)
    records, calls = mask(people[0][:50, :20]), profiles_of(people[0][:70, :20], knowledge)
    panel = mask(people[1][:, :20])
    own = mask(knowledge.complete(calls))
    expected = []
    for row in own:
        file = sum((record == row).all() for record in records) + 1
        public = sum((record == row).all() for record in panel) + 1
        expected.append(math.log(file / (len(records) + 1) / (public / (len(panel) + 1))))
    np.testing.assert_allclose(PatternMembership().score(records, calls, knowledge), expected)
    means = knowledge.frequencies @ np.arange(3)
    filled = np.where(calls < 0, means, calls)
    file_mean, panel_mean = records.mean(axis=0), panel.mean(axis=0)
    homer = ((filled - panel_mean) ** 2).sum(axis=1) - ((filled - file_mean) ** 2).sum(axis=1)
    np.testing.assert_allclose(FileFrequencies().score(records, calls, knowledge), homer, atol=1e-6)


def test_areas_and_thresholds() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 9, 80).astype(float), rng.integers(0, 7, 50).astype(float)
    truth = np.r_[np.ones(80), np.zeros(50)]
    assert auc(members, others) == pytest.approx(roc_auc_score(truth, np.r_[members, others]))
    for fpr in (0.0, 0.01, 0.1, 0.5):
        best = max((members > t).mean() for t in [*members, *others, np.inf] if (others > t).mean() <= fpr)
        assert tpr_at(members, others, fpr) == best


def test_a_tiny_panel_is_refused(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1][:3], lambda dosage: dosage)
    with pytest.raises(InputError, match="at least 4 people"):
        infer_membership(people[0], people[0], knowledge)


def test_an_unmasked_record_gives_the_genotype_away(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1], lambda dosage: dosage, "missing")
    profiles = profiles_of(people[0], knowledge)
    found = GenotypeInference(knowledge).infer([0, 40, 90], people[0], profiles, people[0])
    for site in found.sites:
        assert site.release_accuracy == 1.0
        assert site.shown == 1.0
        assert 0.3 < site.panel_accuracy < 1.0
        assert 0.05 < site.bits < math.log2(3) + 0.5


def test_a_constant_record_adds_nothing(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1], np.zeros_like)
    profiles = profiles_of(people[0], knowledge)
    found = GenotypeInference(knowledge).infer([0, 40], people[0], profiles, np.zeros_like(people[0]))
    for site in found.sites:
        assert (site.gain, site.withheld_gain) == (0.0, 0.0)
        assert site.bits == pytest.approx(0.0, abs=1e-9)


def test_a_withheld_genotype_that_decides_what_is_shown_is_found(people: tuple[Int8, Int8]) -> None:
    """Site 7 is never shown; its parity decides whether site 90 shows a 1 that says nothing by itself."""

    def mask(dosage: Int8) -> Int8:
        released = np.zeros_like(dosage)
        released[:, 90] = dosage[:, 7] == 1
        return released

    knowledge = Knowledge(people[1], mask)
    records = mask(people[0])
    attacker, profiles = GenotypeInference(knowledge), profiles_of(people[0], knowledge)
    site = attacker.infer([7], people[0], profiles, records).sites[0]
    assert site.shown == 0.0
    assert site.withheld_gain > 0.1
    heterozygous = people[0][:, 7] == 1
    other = attacker.infer([7], people[0][heterozygous], profiles[heterozygous], records[heterozygous])
    assert other.sites[0].release_accuracy == 1.0


def test_bayes_rule_equals_the_slow_reference(people: tuple[Int8, Int8]) -> None:
    def mask(dosage: Int8) -> Int8:
        kept = (dosage[:, :1] + dosage[:, 7:8] > 1) & (np.arange(dosage.shape[1]) < 9)
        return np.where(kept, dosage, 0).astype(np.int8)

    knowledge = Knowledge(people[1], mask)
    profiles, records = profiles_of(people[0], knowledge), mask(people[0])
    attacker = GenotypeInference(knowledge)
    before = attacker.without_record(7, profiles)
    np.testing.assert_allclose(before.sum(axis=1), 1.0)
    bits, right = 0.0, 0.0
    for n in range(len(records)):
        likelihood = []
        for g in range(3):
            profile = knowledge.complete(profiles[n : n + 1])
            profile[0, 7] = g
            same = float((mask(profile)[0] == records[n]).all())
            alone = float(knowledge.channel[7, g, records[n, 7] + 1])
            likelihood.append((1 - attacker.changed) * same + attacker.changed * alone)
        after = before[n] * likelihood / (before[n] @ likelihood)
        truth = int(people[0][n, 7])
        bits += math.log2(after[truth] / before[n, truth])
        right += float(after.argmax() == truth)
    site = attacker.infer([7], people[0], profiles, records).sites[0]
    assert site.bits == pytest.approx(bits / len(records))
    assert site.release_accuracy == pytest.approx(right / len(records))


def test_sites_asked_about_are_those_shown_and_others(people: tuple[Int8, Int8]) -> None:
    knowledge = Knowledge(people[1], static_mask(np.array([9, 70]), 0))
    sites = chosen_sites(knowledge, 8)
    assert set(sites[:2]) == {9, 70}
    assert len(set(sites.tolist())) == 8
    assert len(chosen_sites(Knowledge(people[1], np.zeros_like), 5)) == 5


def test_homogeneity_of_hand_made_groups() -> None:
    a, b = np.zeros((1, 4), np.int8), np.ones((1, 4), np.int8)
    first = np.concatenate([np.repeat(a, 4, axis=0), np.repeat(b, 2, axis=0)])
    second = np.repeat(a, 4, axis=0)
    found = homogeneity([first, second], [np.array([0, 0, 1, 1, 1, 1], np.int8), np.array([1, 1, 1, 0], np.int8)])
    assert found.homogeneous_share == pytest.approx(2 / 10)  # the two of pattern b
    assert found.distinct_diversity == 1
    assert found.entropy_diversity == pytest.approx(1.0)
    assert found.smallest_class == 1
    assert found.group_guess == pytest.approx((2 + 2 + 3) / 10)
    assert found.file_guess == pytest.approx((4 + 3) / 10)
    mixed = homogeneity([first[:4]], [np.array([0, 0, 1, 1], np.int8)])
    assert (mixed.homogeneous_share, mixed.distinct_diversity, mixed.smallest_class) == (0.0, 2, 2)
    assert mixed.entropy_diversity == pytest.approx(2.0)
