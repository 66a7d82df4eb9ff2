"""The trained identifier: what it reads, what it learns, and what it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.attacks import Case
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.identifier import TrainedIdentifier, Training
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.lineups import Tokeniser, line_up
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.masks import random_mask, static_mask
from tests.evaluation.attacks.cases import make_case


def test_the_identifier_is_trained_once_for_one_release_function() -> None:
    case = make_case(static_mask(np.arange(12), 0), people=40)
    attack = TrainedIdentifier(Training(steps=20, lineup=8, mosaics=50))
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
    hits = TrainedIdentifier(Training(steps=40, lineup=16, mosaics=200)).success(case).sum()
    assert 0.75 * patterns <= hits <= patterns + 1e-9


def test_the_identifier_learns_not_to_trust_masks_drawn_at_random() -> None:
    """Its own draws of a random mask say nothing about a record's: it must fall back on likelihood."""
    case = make_case(random_mask(0.1, 0, 1), public=random_mask(0.1, 0, 2), people=100)
    identifier = TrainedIdentifier(Training(steps=20, lineup=16, mosaics=100)).success(case).mean()
    assert identifier > 0.8 * LikelihoodLinkage().success(case).mean() > 0.2
    assert MaskerAwareLinkage().success(case).mean() < 0.5 * identifier


def test_candidates_out_of_the_networks_reach_cannot_be_named() -> None:
    case = make_case(random_mask(0.2, 0, 1), public=random_mask(0.2, 0, 2), people=60)
    attack = TrainedIdentifier(Training(steps=20, lineup=8, mosaics=60), pairs=60 * 10)
    whole = TrainedIdentifier(Training(steps=20, lineup=8, mosaics=60))
    assert attack.success(case).mean() == pytest.approx(whole.success(case).mean(), abs=0.05)
