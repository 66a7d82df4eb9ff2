"""Hidden Markov linkage, inversion and pedigrees, each against a slow, obvious one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from afml.evaluation.attacks.base import Int8, Knowledge
from afml.evaluation.attacks.inversion import InversionLinkage, summed_terms
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.markov import HiddenMarkovLinkage, evidence_ratios
from afml.evaluation.attacks.pedigree import Pedigree
from afml.evaluation.masks import random_mask, static_mask
from tests.evaluation.attacks.cases import Fill, make_case, split_ties
from tests.simulated import simulate_dosage


def slow_paths(attack: HiddenMarkovLinkage, ratios: list[float]) -> float:
    """The sum over every path through (copied, anybody's), written out."""
    total = 0.0
    for path in product((True, False), repeat=len(ratios)):
        weight = 0.5
        for k, copied in enumerate(path):
            if k:
                leaves = attack.lose if path[k - 1] else attack.find
                weight *= leaves if copied != path[k - 1] else 1 - leaves
            weight *= ratios[k] if copied else 1.0
        total += weight
    return total


@pytest.mark.parametrize("fill", ["major", "missing"])
def test_hidden_markov_equals_the_sum_over_all_paths(fill: Fill) -> None:
    value = 0 if fill == "major" else -1
    case = make_case(random_mask(0.3, value, 1), public=random_mask(0.3, value, 2), people=12, sites=60, fill=fill)
    attack = HiddenMarkovLinkage(sites=7)
    given = np.einsum("srg,sgo->sro", case.knowledge.given_reference, case.knowledge.channel)
    alone = np.einsum("sg,sgo->so", case.knowledge.frequencies, case.knowledge.channel)
    np.testing.assert_allclose(evidence_ratios(case.knowledge), given / alone[:, None, :], rtol=1e-5)
    expected = []
    for record, truth in zip(case.released, case.truth, strict=True):
        (telling,) = attack.telling(record[None], case.knowledge)
        columns = [int(s) for s in telling.columns]
        assert len(columns) == 7
        assert columns == sorted(columns)
        scores = [
            slow_paths(attack, [float(given[s, r[s] + 1, record[s] + 1] / alone[s, record[s] + 1]) for s in columns])
            for r in case.references
        ]
        fast = attack.likelihood(telling, case.references.T)
        np.testing.assert_allclose(fast, scores, rtol=1e-4)
        expected.append(split_ties(scores, truth))
    np.testing.assert_allclose(attack.success(case), expected, atol=1e-9)


def test_a_record_that_is_mostly_somebody_elses_is_found_by_hidden_markov_alone() -> None:
    """Synthetic genotypes that join two people: a stretch is a copy of one, the whole is nobody's."""
    dosage = simulate_dosage(420, 256, 3)
    private, panel = dosage[:300], dosage[300:]

    def mixed(people: Int8) -> Int8:
        out = people.copy()
        out[:, 32:] = panel[(np.arange(len(people)) * 7) % len(panel), 32:]
        return out

    case = make_case(lambda people: people, people=300, dosage=dosage)
    case = replace(case, released=mixed(private))
    assert HiddenMarkovLinkage(sites=256, share=1.0).success(case).mean() > 0.9
    assert LikelihoodLinkage().success(case).mean() < 0.6


def test_a_record_that_says_nothing_leaves_chance() -> None:
    case = make_case(np.zeros_like, people=40)
    attack = HiddenMarkovLinkage()
    assert [len(one.columns) for one in attack.telling(case.patterns[0], case.knowledge)] == [0]
    np.testing.assert_allclose(attack.success(case), 1 / 40)


def test_inversion_equals_counting_who_shows_the_same() -> None:
    case = make_case(static_mask(np.array([3, 9]), -1), people=10, sites=24, fill="missing")
    knowledge, attack = case.knowledge, InversionLinkage(mosaics=50, weight=2.0)
    people, shown = attack.behaviour(knowledge)
    assert people.shape == shown.shape == (170, 24)
    for record in case.patterns[0]:
        found = attack.impute(record[None], knowledge)[0]
        same = [person for person, one in zip(people, shown, strict=True) if (one == record).all()]
        for s in range(24):
            prior = knowledge.frequencies[s] * knowledge.channel[s, :, record[s] + 1]
            counts = np.array([sum(person[s] == g for person in same) for g in range(3)])
            expected = (counts + 2.0 * prior / prior.sum()) / (len(same) + 2.0)
            np.testing.assert_allclose(found[s], expected, rtol=1e-6)


@pytest.mark.parametrize("sites", [0, 1, 3, 4, 5, 8, 11])
def test_terms_looked_up_four_by_four_are_those_of_each_site(sites: int) -> None:
    rng = np.random.default_rng(sites)
    calls = rng.integers(0, 4, (12, 300)).astype(np.uint8)
    columns = np.sort(rng.choice(12, sites, replace=False))
    table = rng.integers(-99, 99, (sites, 4)).astype(np.float32)
    slow = [sum(float(table[k, calls[site, who]]) for k, site in enumerate(columns)) for who in range(300)]
    np.testing.assert_array_equal(summed_terms(calls, columns, table), slow)


def test_inversion_sees_what_is_behind_a_record_that_shows_nothing_of_it() -> None:
    """A site that is shown or not by a genotype elsewhere: that genotype follows from the record."""

    def mask(dosage: Int8) -> Int8:
        out = np.full_like(dosage, -1)
        out[dosage[:, 40] > 0, 2] = 0
        return out

    case = make_case(mask, people=60, sites=64, fill="missing")
    posterior = InversionLinkage().impute(case.patterns[0], case.knowledge)
    carrier = case.patterns[0][:, 2] == 0
    assert posterior[carrier, 40, 0].max() < 0.05
    assert posterior[~carrier, 40, 0].min() > 0.95


@pytest.fixture(scope="module")
def family() -> tuple[Int8, list[Int8], Knowledge]:
    dosage = simulate_dosage(700, 640, 6)
    panel, people = dosage[:400], dosage[400:]
    pedigree = Pedigree(panel)
    young = [pedigree.descendants(people, degree, np.random.default_rng(degree)) for degree in (1, 2, 3)]
    return people, young, Knowledge(panel, lambda d: d)


def test_children_are_possible_children(family: tuple[Int8, list[Int8], Knowledge]) -> None:
    """Never 0 of a parent with 2, or the other way round; frequencies stay."""
    people, (child, *_), _ = family
    assert (np.abs(people.astype(int) - child) < 2).all()
    assert set(np.unique(child)) == {0, 1, 2}
    np.testing.assert_allclose(child.mean(), people.mean(), atol=0.03)


@pytest.mark.parametrize(("degree", "kinship"), [(1, 1 / 4), (2, 1 / 8), (3, 1 / 16)])
def test_descendants_are_as_related_as_they_should_be(
    family: tuple[Int8, list[Int8], Knowledge], degree: int, kinship: float
) -> None:
    """Twice the kinship is the regression of one's centred dosage on the other's, beyond what strangers share."""
    people, young, knowledge = family
    means = knowledge.frequencies @ np.arange(3)
    scale = np.sqrt(means * (1 - means / 2))
    a, b = (people - means) / scale, (young[degree - 1] - means) / scale
    own = np.mean((a * b).mean(axis=1))
    strangers = np.mean((a * np.roll(b, 1, axis=0)).mean(axis=1))
    whole = np.mean((a * a).mean(axis=1)) - strangers
    assert (own - strangers) / whole / 2 == pytest.approx(kinship, abs=0.03)


def test_alleles_that_are_seen_together_are_passed_on_together() -> None:
    """Two sites in complete linkage: no child gets one minor allele without the other."""
    rng = np.random.default_rng(4)
    one = rng.binomial(2, 0.4, size=(200, 1)).astype(np.int8)
    people = np.concatenate([one, one, 2 - one], axis=1)
    child = Pedigree(people).descendants(people, 1, rng)
    np.testing.assert_array_equal(child[:, 0], child[:, 1])
    np.testing.assert_array_equal(child[:, 2], 2 - child[:, 0])
