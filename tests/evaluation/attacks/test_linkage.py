"""Likelihood, masker-aware, imputation and kinship linkage, each against a slow, obvious one."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.attacks import Attack, baseline_suite
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.imputation import ImputationLinkage
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.masks import random_mask, static_mask
from tests.evaluation.attacks.cases import Fill, make_case, slow_likelihood, split_ties
from tests.simulated import simulate_dosage


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
