"""Every attack on cases whose answer is known, and each fast path against a slow, obvious one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.evaluation.attacks import (
    Attack,
    Case,
    ImputationLinkage,
    KinshipLinkage,
    Knowledge,
    LikelihoodLinkage,
    MaskerAwareLinkage,
    TrainedIdentifier,
    baseline_suite,
    reference_profiles,
    scoring,
)
from afml.evaluation.attacks.base import Int8, ReleaseFunction
from afml.evaluation.attacks.lineups import Tokeniser, line_up
from afml.evaluation.attacks.scoring import exact_directions, exact_terms
from afml.evaluation.masks import random_mask, static_mask
from tests.simulated import simulate_dosage

Fill = Literal["major", "missing"]
ATTACKS: list[Callable[[], Attack]] = [
    LikelihoodLinkage,
    MaskerAwareLinkage,
    ImputationLinkage,
    KinshipLinkage,
    lambda: TrainedIdentifier(steps=20, batch=32, lineup=12, mosaics=60, patience=1),
]
NAMES = ["likelihood", "masker-aware", "imputation", "kinship", "trained identifier"]
every_attack = pytest.mark.parametrize("make", ATTACKS, ids=NAMES)


def make_case(
    mask: ReleaseFunction,
    *,
    people: int = 150,
    sites: int = 192,
    fill: Fill = "major",
    error: float = 0.01,
    seed: int = 3,
    public: ReleaseFunction | None = None,
    dosage: Int8 | None = None,
) -> Case:
    everybody = simulate_dosage(people + 120, sites, seed) if dosage is None else dosage
    private, panel = everybody[:-120], everybody[-120:]
    knowledge = Knowledge(panel, public or mask, fill, error, error)
    rng = np.random.default_rng(seed)
    profiles = reference_profiles(private, knowledge.frequencies, error=error, missing=error, rng=rng)
    order = rng.permutation(len(private))
    truth = np.empty(len(private), dtype=np.int64)
    truth[order] = np.arange(len(private))  # candidate order[k] stands at place k
    return Case(mask(private), profiles[order], truth, knowledge)


@every_attack
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_unmasked_records_are_all_found(make: Callable[[], Attack], fill: Fill) -> None:
    success = make().success(make_case(lambda dosage: dosage, fill=fill))
    np.testing.assert_array_equal(success, 1.0)


@every_attack
@pytest.mark.parametrize(("fill", "value"), [("major", 0), ("missing", -1), ("major", 1)])
def test_a_constant_release_leaves_chance(make: Callable[[], Attack], fill: Fill, value: int) -> None:
    case = make_case(lambda dosage: np.full_like(dosage, value), fill=fill)
    assert make().success(case).mean() == pytest.approx(1 / len(case.references), abs=1e-12)


@every_attack
def test_a_mask_that_shows_the_genotype_by_its_absence_is_found(make: Callable[[], Attack]) -> None:
    """Every shown value is 0, so that the values say nothing: only which sites are shown does."""
    case = make_case(lambda dosage: np.where(dosage == 0, 0, -1).astype(np.int8), fill="missing")
    assert set(np.unique(case.released)) == {-1, 0}
    assert make().success(case).mean() > 0.95


def test_a_leak_through_other_sites_is_found_by_the_masker_aware_attack() -> None:
    """Site s shows a genotype that everybody shares when site s + S/2, itself masked, is not 0."""
    everybody = simulate_dosage(270, 192, seed=4)
    everybody[:, :96] = 0

    def mask(dosage: Int8) -> Int8:
        released = np.full_like(dosage, -1)
        released[:, :96][dosage[:, 96:] > 0] = 0
        return released

    case = make_case(mask, fill="missing", dosage=everybody)
    assert MaskerAwareLinkage().success(case).mean() > 0.95
    assert LikelihoodLinkage().success(case).mean() < 0.2  # sees each site alone


@pytest.mark.parametrize("attack", [LikelihoodLinkage(), MaskerAwareLinkage()], ids=["likelihood", "masker-aware"])
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_static_sites_without_errors_identify_one_of_each_group(attack: Attack, fill: Fill) -> None:
    """Exact reference profiles, the same sites shown of everybody: RR is groups / people."""
    mask = static_mask(np.array([3, 50, 120, 180]), -1 if fill == "missing" else 0)
    case = make_case(mask, fill=fill, error=1e-12)
    _, group = np.unique(case.released, axis=0, return_inverse=True)
    # All records of a group name the same candidates, who belong to the group: one hit a group.
    hits = np.bincount(group.reshape(-1), weights=attack.success(case))
    np.testing.assert_allclose(hits, 1.0)


@every_attack
def test_equal_candidates_share_the_guess(make: Callable[[], Attack]) -> None:
    case = make_case(lambda dosage: dosage, people=40)
    twice = Case(case.released, np.concatenate([case.references, case.references]), case.truth, case.knowledge)
    np.testing.assert_array_equal(make().success(twice), 0.5)


@every_attack
def test_blocks_of_candidates_do_not_change_the_result(
    make: Callable[[], Attack], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case(random_mask(0.08, 0, 1), public=random_mask(0.08, 0, 2), people=60)
    attack = make()
    whole = attack.success(case)
    monkeypatch.setattr(scoring, "BLOCK_VALUES", 1000)
    np.testing.assert_array_equal(attack.success(case), whole)


def split_ties(scores: list[float], truth: int) -> float:
    best = max(scores)
    winners = [j for j, score in enumerate(scores) if abs(score - best) < 1e-6 * (1 + abs(best))]
    return 1 / len(winners) if truth in winners else 0.0


def slow_likelihood(case: Case, record: Int8, candidate: Int8) -> float:
    knowledge, total = case.knowledge, 0.0
    e = knowledge.genotype_error
    for s, (o, r) in enumerate(zip(record, candidate, strict=True)):
        prior = [knowledge.frequencies[s, g] * (1.0 if r < 0 else 1 - e if g == r else e / 2) for g in range(3)]
        shown = [knowledge.channel[s, g, o + 1] for g in range(3)]
        total += float(np.log(np.dot(prior, shown) / sum(prior)))
    return total


@pytest.mark.parametrize("fill", ["major", "missing"])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_likelihood_equals_the_slow_reference(fill: Fill, rate: float) -> None:
    value = 0 if fill == "major" else -1
    mask, public = random_mask(rate, value, 1), random_mask(rate, value, 2)
    case = make_case(mask, public=public, people=25, sites=40, fill=fill, error=0.05)
    expected = [
        split_ties([slow_likelihood(case, z, r) for r in case.references], truth)
        for z, truth in zip(case.released, case.truth, strict=True)
    ]
    np.testing.assert_allclose(LikelihoodLinkage().success(case), expected)


@pytest.mark.parametrize("many", [False, True])
def test_masker_aware_equals_the_slow_reference(many: bool) -> None:
    def mask(dosage: Int8) -> Int8:
        kept = (dosage[:, ::-1] > 0) if many else (dosage[:, :1] > 0) & (np.arange(dosage.shape[1]) < 3)
        return np.where(kept, dosage, 0).astype(np.int8)

    case = make_case(mask, people=30, sites=30, error=0.05)
    masked = mask(case.knowledge.complete(case.references))
    expected = []
    for z, truth in zip(case.released, case.truth, strict=True):
        scores = [
            -1e6 * int((z != y).sum()) + slow_likelihood(case, z, r)
            for y, r in zip(masked, case.references, strict=True)
        ]
        best = max(scores)
        winners = [j for j, score in enumerate(scores) if abs(score - best) < 1e-4]
        expected.append(1 / len(winners) if truth in winners else 0.0)
    np.testing.assert_allclose(MaskerAwareLinkage().success(case), expected)


@pytest.mark.parametrize("fill", ["major", "missing"])
def test_imputation_equals_the_slow_reference(fill: Fill) -> None:
    value = 0 if fill == "major" else -1
    case = make_case(random_mask(0.3, value, 1), public=random_mask(0.3, value, 2), people=8, sites=20, fill=fill)
    knowledge, attack = case.knowledge, ImputationLinkage(window=8)
    frequencies, channel, e = knowledge.frequencies, knowledge.channel, knowledge.genotype_error
    people, sites = knowledge.panel.shape

    def seen(s: int, person: int, o: int) -> float:
        given = knowledge.given_reference[s, knowledge.panel[person, s] + 1]
        copied = float(given @ channel[s, :, o + 1])
        drawn = float(frequencies[s] @ channel[s, :, o + 1])
        return float(np.log(attack.copying * copied + (1 - attack.copying) * drawn))

    expected = []
    for z, truth in zip(case.released, case.truth, strict=True):
        evidence = np.array([[seen(s, p, int(z[s])) for s in range(sites)] for p in range(people)])
        genotype = np.zeros((sites, 3))
        for s in range(sites):
            inside = np.arange(sites) // 8 == s // 8
            weight = np.exp(evidence[:, inside].sum(1) + attack.distant * evidence[:, ~inside].sum(1))
            weight /= weight.sum()
            for g in range(3):
                carried = weight[knowledge.panel[:, s] == g].sum()
                genotype[s, g] = attack.copying * carried + (1 - attack.copying) * frequencies[s, g]
                genotype[s, g] *= channel[s, g, z[s] + 1]
            genotype[s] /= genotype[s].sum()
        np.testing.assert_allclose(attack.impute(z[None], knowledge)[0], genotype, rtol=1e-9)
        called = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)
        ratio = np.log(genotype @ called) - np.log(frequencies @ called)
        scores = [float(sum(ratio[s, r] for s, r in enumerate(c) if r >= 0)) for c in case.references]
        expected.append(split_ties(scores, truth))
    np.testing.assert_allclose(attack.success(case), expected)


def test_kinship_equals_the_slow_reference() -> None:
    case = make_case(random_mask(0.3, 0, 1), public=random_mask(0.3, 0, 2), people=20, sites=40)
    knowledge = case.knowledge
    p = knowledge.frequencies @ np.arange(3) / 2
    scale = np.sqrt(2 * p * (1 - p))
    centre = knowledge.released_panel.mean(axis=0)
    expected = []
    for z, truth in zip(case.released, case.truth, strict=True):
        scores = []
        for r in case.references:
            a, b = (z - centre) / scale, np.where(r < 0, 0, (r - 2 * p) / scale)
            scores.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        expected.append(split_ties(scores, truth))
    np.testing.assert_allclose(KinshipLinkage().success(case), expected)


def test_likelihood_beats_the_others_on_random_masks() -> None:
    """Per-site likelihood is close to optimal where masks are independent of the genome."""
    case = make_case(random_mask(0.05, 0, 1), public=random_mask(0.05, 0, 2), people=200)
    reached = {attack.name: attack.success(case).mean() for attack in baseline_suite()}
    assert max(reached, key=lambda name: reached[name]) == "likelihood"
    assert reached["likelihood"] > 10 / 200


def test_the_identifier_is_trained_once_for_one_release_function() -> None:
    case = make_case(static_mask(np.arange(12), 0), people=40)
    attack = TrainedIdentifier(steps=20, lineup=8, mosaics=50)
    first = attack.train(case.knowledge)
    assert attack.train(case.restricted(np.arange(10), case.truth[:10]).knowledge) is first


def slow_tokens(case: Case, record: Int8, candidate: int, starts: list[int]) -> list[tuple[float, float]]:
    knowledge, sites = case.knowledge, len(record)
    masked = knowledge.mask(knowledge.complete(case.references))[candidate]
    out = []
    for low, high in zip(starts, [*starts[1:], sites], strict=True):
        ratio, apart = 0.0, 0
        for s in range(low, high):
            o, r = record[s] + 1, case.references[candidate, s] + 1
            channel = knowledge.channel[s, :, o]
            ratio += float(np.log((knowledge.given_reference[s, r] @ channel) / (knowledge.frequencies[s] @ channel)))
            apart += int(record[s] != masked[s])
        out.append((ratio, -apart))
    return out


def test_line_ups_hold_the_right_candidate_first_and_tokens_equal_the_slow_reference() -> None:
    case = make_case(static_mask(np.arange(12), 0), people=40, sites=70)
    cut = Tokeniser(case.knowledge)
    pairs, candidates = line_up(case, cut, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(candidates[:, 0], case.truth)
    assert all(len(set(row)) == 9 for row in candidates.tolist())
    for k in (0, 1, 8, 9, 200):
        record, candidate = int(pairs.record[k]), int(pairs.candidate[k])
        expected = slow_tokens(case, case.released[record], candidate, cut.starts.tolist())
        np.testing.assert_allclose(pairs.tokens[k], expected, atol=1e-3)
        assert pairs.evidence[k, 1] == pytest.approx(sum(apart for _, apart in expected))


def codebook_mask(dosage: Int8) -> Int8:
    """Nine patterns: the first of eight genotypes that a person carries, or nothing."""
    released = np.zeros_like(dosage)
    free = np.ones(len(dosage), dtype=bool)
    for site in range(0, 160, 20):
        taken = free & (dosage[:, site] == 2)
        released[taken, site] = 2
        free &= ~taken
    return released


def test_the_identifier_reaches_the_information_limit_of_a_codebook_and_no_more() -> None:
    case = make_case(codebook_mask, people=400, sites=160, error=1e-6)
    patterns = len(case.patterns[0])
    hits = TrainedIdentifier(steps=40, lineup=16, mosaics=200).success(case).sum()
    assert 0.75 * patterns <= hits <= patterns + 1e-9


def test_the_identifier_learns_not_to_trust_masks_drawn_at_random() -> None:
    """Its own draws of a random mask say nothing about a record's: it must fall back on likelihood."""
    case = make_case(random_mask(0.1, 0, 1), public=random_mask(0.1, 0, 2), people=100)
    identifier = TrainedIdentifier(steps=20, lineup=16, mosaics=100).success(case).mean()
    assert identifier > 0.8 * LikelihoodLinkage().success(case).mean() > 0.2
    assert MaskerAwareLinkage().success(case).mean() < 0.5 * identifier


def test_candidates_out_of_the_networks_reach_cannot_be_named() -> None:
    case = make_case(random_mask(0.2, 0, 1), public=random_mask(0.2, 0, 2), people=60)
    attack = TrainedIdentifier(steps=20, lineup=8, mosaics=60, pairs=60 * 10)
    whole = TrainedIdentifier(steps=20, lineup=8, mosaics=60)
    assert attack.success(case).mean() == pytest.approx(whole.success(case).mean(), abs=0.05)


def test_restricted_cases_keep_who_is_who() -> None:
    case = make_case(lambda dosage: dosage, people=60)
    records = np.arange(5, 25)
    part = case.restricted(records, np.sort(case.truth[records]))
    np.testing.assert_array_equal(part.references[part.truth], case.references[case.truth[records]])
    np.testing.assert_array_equal(LikelihoodLinkage().success(part), 1.0)


def test_reference_profiles_have_the_stated_errors() -> None:
    dosage = simulate_dosage(400, 200, 5)
    dosage[:, 7] = -1
    frequencies = np.tile([0.2, 0.3, 0.5], (200, 1))
    rng = np.random.default_rng(1)
    profile = reference_profiles(dosage, frequencies, error=0.02, missing=0.05, rng=rng)
    known = np.arange(200) != 7
    called = profile[:, known] >= 0
    assert 1 - called.mean() == pytest.approx(0.05, abs=0.005)
    assert (profile[:, known] != dosage[:, known])[called].mean() == pytest.approx(0.0211, abs=0.003)
    drawn = profile[:, 7][profile[:, 7] >= 0]
    assert np.bincount(drawn, minlength=3) / len(drawn) == pytest.approx([0.2, 0.3, 0.5], abs=0.08)
    assert (dosage[:, 7] == -1).all()  # the input is left alone


def test_sums_of_exact_terms_do_not_depend_on_their_order() -> None:
    rng = np.random.default_rng(0)
    for count in (100, 20_000):
        terms = exact_terms(rng.normal(size=count) * 14, count)
        sums = {float(rng.permutation(terms).sum(dtype=terms.dtype)) for _ in range(20)}
        assert len(sums) == 1
        exact = exact_terms(rng.normal(size=count), count)
        assert exact.dtype == (np.float32 if count == 100 else np.float64)


def test_equal_directions_have_equal_products() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 333))
    unit = exact_directions(np.concatenate([vectors, np.zeros((1, 333)), vectors]))
    products = unit[:1] @ unit.T
    np.testing.assert_array_equal(products[0, :7], products[0, 8:])
    assert products[0, 7] == 0
    assert products[0, 0] == pytest.approx(1, abs=1e-6)


def test_misaligned_cases_are_refused_in_one_line() -> None:
    case = make_case(lambda dosage: dosage, people=10)
    with pytest.raises(InputError, match="has shape"):
        Case(case.released[:, 1:], case.references, case.truth, case.knowledge)
    with pytest.raises(InputError, match="index of its candidate"):
        Case(case.released, case.references[:5], case.truth, case.knowledge)
