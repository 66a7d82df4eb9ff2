"""What makes attacks cheap on many people changes nothing that they find on few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.evaluation import population as curve
from afml.evaluation.attacks import ATTACKS, Attack, Case, ReleaseFunction, baseline_suite, scoring
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.identifier import TrainedIdentifier, Training
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskDistance, MaskerAwareLinkage
from afml.evaluation.attacks.scoring import exact_terms
from afml.evaluation.limits import Most
from afml.evaluation.masks import random_mask, randomised_response
from afml.evaluation.population import Population, rr_by_population
from afml.evaluation.rr import attack_all, sampled
from tests.evaluation.attacks.cases import Fill, make_case
from tests.evaluation.attacks.test_identifier import codebook_mask

SMALL = TrainedIdentifier(Training(20, 32, lineup=12, mosaics=60, patience=1))


def suite() -> tuple[Attack, ...]:
    return (*baseline_suite(), SMALL)


def all_pairs(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every record against every candidate, site by site: (log-likelihoods, differing sites, relatedness)."""
    knowledge = case.knowledge
    logs = np.log(np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel))
    table = exact_terms(logs, len(logs)).astype(np.float64)
    means = knowledge.frequencies @ np.arange(3)
    scale = np.sqrt(np.maximum(means * (1 - means / 2), 1e-6))
    centre = means if knowledge.fill == "missing" else knowledge.released_panel.mean(axis=0)
    likelihood = np.zeros((len(case.released), len(case.references)))
    for s in range(case.released.shape[1]):
        likelihood += table[s][case.references[:, s] + 1][:, case.released[:, s] + 1].T
    masked = knowledge.mask(knowledge.complete(case.references))
    apart = (case.released[:, None, :] != masked[None, :, :]).sum(axis=2)
    shown = np.where(case.released < 0, 0.0, (case.released - centre) / scale)
    calls = np.where(case.references < 0, 0.0, (case.references - means) / scale)
    related = shown @ (calls / np.linalg.norm(calls, axis=1, keepdims=True)).T
    return likelihood, apart, related


def split(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-4
    return best[np.arange(len(truth)), truth] / best.sum(axis=1)


@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_codebook_equals_all_pairs(fill: Fill) -> None:
    def mask(dosage: Int8) -> Int8:
        shown = codebook_mask(dosage)
        return shown if fill == "major" else np.where(shown == 0, -1, shown).astype(np.int8)

    case = make_case(mask, people=150, sites=160, fill=fill)
    likelihood, apart, related = all_pairs(case)
    expected = {"likelihood": likelihood, "masker-aware": likelihood - 1e5 * apart, "kinship": related}
    for name, scores in expected.items():
        found = ATTACKS.get(name).seeded(0).success(case)
        np.testing.assert_allclose(found, split(scores, case.truth), err_msg=name)


@pytest.mark.parametrize(
    "mask",
    [codebook_mask, random_mask(0.02, -1, 1), random_mask(0.6, 0, 1), randomised_response(1.0, 1)],
    ids=["codebook", "few shown", "many shown", "response"],
)
def test_distances_of_masks_are_counted_site_by_site(mask: ReleaseFunction) -> None:
    case = make_case(mask, people=70, sites=160)
    patterns, pattern_of = case.patterns
    distance = MaskDistance(case)
    parts = (slice(0, 33), slice(33, 70))
    found = np.concatenate([distance.block(part) for part in parts], axis=1)
    np.testing.assert_array_equal(found[pattern_of], all_pairs(case)[1])
    assert found.shape == (len(patterns), 70)


@pytest.mark.parametrize("attack", suite(), ids=lambda one: one.name)
def test_one_pass_finds_what_knowing_the_file_is_worth(attack: Attack) -> None:
    case = make_case(codebook_mask, people=90, sites=160)
    order = np.argsort(case.truth)
    case = replace(case, released=case.released[order], truth=case.truth[order])
    files = np.repeat([0, 1, 2], [20, 30, 40])
    alone = [case.restricted(np.flatnonzero(files == k), np.flatnonzero(files == k)) for k in range(3)]
    expected = sum(attack.success(one).sum() for one in alone) / 90
    found = attack_all(case, [attack], files)
    assert found.known_institution is not None
    assert found.known_institution.rr == pytest.approx(expected, abs=0.02 if attack is SMALL else 1e-12)
    assert found.by_attack[attack.name] == pytest.approx(attack.success(case).mean(), abs=1e-12)


@pytest.mark.parametrize("mask", [codebook_mask, random_mask(0.3, 0, 1)], ids=["codebook", "random"])
def test_processes_side_by_side_change_nothing(mask, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    case = make_case(mask, public=mask if mask is codebook_mask else random_mask(0.3, 0, 2), people=60, sites=160)
    people = Population(case.knowledge.panel, (1, 3), people_at_once=50)
    pair = (LikelihoodLinkage(), MaskerAwareLinkage())
    files = np.repeat([0, 1], 30)[case.truth]
    before = attack_all(case, suite(), files), rr_by_population(case, pair, people)
    monkeypatch.setattr(scoring, "BLOCK_VALUES", 2000)
    for module in (scoring, curve):
        monkeypatch.setattr(module, "IN_CHILDREN_FROM", 0)
        monkeypatch.setattr(module, "usable_processors", lambda: 2)
    assert (attack_all(case, suite(), files), rr_by_population(case, pair, people)) == before


def test_a_sample_of_records_is_attacked_among_all_candidates() -> None:
    case = make_case(random_mask(0.5, 0, 1), public=random_mask(0.5, 0, 2), people=100)
    some = sampled(case, Most(pairs=2000, dense=2000, least=1))
    assert (len(some.released), len(some.references)) == (20, 100)
    found = attack_all(case, [LikelihoodLinkage()], np.zeros(100, dtype=np.int64), most=Most(2000, 2000, 1))
    assert (found.records, found.candidates) == (20, 100)
    assert found.known_institution is not None
    assert found.known_institution.rr == found.rr
    assert found.rr == pytest.approx(LikelihoodLinkage().success(some).mean())
    whole = attack_all(case, [LikelihoodLinkage()])
    assert (whole.records, whole.rr == pytest.approx(found.rr, abs=0.2)) == (100, True)


def test_few_patterns_are_all_attacked() -> None:
    """Nine patterns among 120 candidates: 1,080 pairs, and not 14,400."""
    case = make_case(codebook_mask, people=120, sites=160)
    assert sampled(case, Most(pairs=1_080, dense=1, least=1)) is case
    assert len(sampled(case, Most(pairs=1_000, dense=1, least=1)).released) == 8
