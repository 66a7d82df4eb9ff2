"""RR among more candidates, against the same attack on everybody at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.evaluation.attacks import Case, Knowledge, reference_profiles
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import Linkage
from afml.evaluation.masks import static_mask
from afml.evaluation.population import Population, as_table, rr_by_population
from tests.simulated import simulate_dosage


def make_case(sites_shown: int = 4) -> Case:
    dosage = simulate_dosage(140, 64, 5)
    knowledge = Knowledge(dosage[60:], static_mask(np.arange(sites_shown), 0))
    rng = np.random.default_rng(1)
    profiles = reference_profiles(dosage[:60], knowledge.frequencies, error=0.01, missing=0.01, rng=rng)
    return Case(knowledge.mask(dosage[:60]), profiles, np.arange(60), knowledge)


@pytest.mark.parametrize("attack", [LikelihoodLinkage(), MaskerAwareLinkage(), KinshipLinkage()], ids=lambda a: a.name)
def test_candidates_in_parts_equal_candidates_at_once(attack: Linkage) -> None:
    case = make_case()
    whole = attack.success(case)
    halves = [
        replace(case, references=case.references[part], truth=np.where(inside, case.truth - start, -1))
        for start, part, inside in (
            (0, slice(0, 25), case.truth < 25),
            (25, slice(25, 60), case.truth >= 25),
        )
    ]
    joined = attack.standing(halves[0]).joined(attack.standing(halves[1]))
    np.testing.assert_array_equal(joined.success(), whole)


def test_the_blocks_of_simulated_people_are_the_candidates_they_are_said_to_be() -> None:
    """The slow reference: the same simulated people beside the real ones, in one case."""
    case, people = make_case(), simulate_dosage(30, 64, 9)
    points = rr_by_population(case, [LikelihoodLinkage()], Population(people, (1, 3), seed=4, people_at_once=50))
    assert [point.candidates for point in points] == [60, 180]
    crowd = []
    for made, count in ((0, 50), (50, 50), (100, 20)):
        rng = np.random.default_rng([4, 0xC0, made])
        people_now = mosaic_people(people, count, rng)
        frequencies = case.knowledge.frequencies
        crowd.append(reference_profiles(people_now, frequencies, error=0.01, missing=0.01, rng=rng))
    everybody = replace(case, references=np.concatenate([case.references, *crowd]))
    assert points[1].rr == pytest.approx(LikelihoodLinkage().success(everybody).mean(), abs=1e-12)
    assert points[1].rr <= points[0].rr


def test_rr_falls_with_the_population_and_a_constant_release_stays_at_chance() -> None:
    case = make_case()
    people = case.knowledge.panel
    points = rr_by_population(case, [LikelihoodLinkage(), MaskerAwareLinkage()], Population(people, (1, 10, 100)))
    assert points[0].rr > points[1].rr > points[2].rr
    empty = replace(case, released=np.zeros_like(case.released), knowledge=Knowledge(people, np.zeros_like))
    for point in rr_by_population(empty, [MaskerAwareLinkage()], Population(people, (1, 10))):
        assert point.rr == pytest.approx(point.chance)


def test_unmasked_records_stay_identified() -> None:
    dosage = simulate_dosage(120, 960, 7)
    knowledge = Knowledge(dosage[60:], lambda d: d)
    case = Case(dosage[:60], dosage[:60], np.arange(60), knowledge)
    points = rr_by_population(case, [LikelihoodLinkage()], Population(dosage, (1, 10)))
    assert [point.rr for point in points] == [1.0, 1.0]


def test_the_table_has_a_row_for_each_attack_and_the_worst() -> None:
    attacks = [LikelihoodLinkage(), MaskerAwareLinkage()]
    rows = as_table(rr_by_population(make_case(), attacks, Population(simulate_dosage(9, 64, 1), (1, 2))))
    assert rows[0]["attack"] == "rr"
    assert len(rows) == 6
    assert rows[0]["success"] == max(row["success"] for row in rows[1:3])


def test_mosaics_are_made_of_whole_windows_of_two_people() -> None:
    people = np.repeat(np.arange(3, dtype=np.int8)[:, None], 70, axis=1)
    made = mosaic_people(people, 200, np.random.default_rng(0), window=10)
    windows = made.reshape(200, 7, 10)
    assert (windows == windows[:, :, :1]).all()
    assert max(len(np.unique(row)) for row in made) == 2
