"""What is found of a person: as an attack written out for one record finds it, and whoever else is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.evaluation.attacks import ATTACKS, Case, Knowledge
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.scoring import Linkage
from afml.evaluation.disclosure import infer_membership, membership_suite
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.evaluation.alone import SETS, Among, outranked
from afml.release.evaluation.settings import LINKED_ALONE, LinkedAlone
from afml.release.evaluation.vector import MEMBERSHIP_SCORES
from afml.release.planning import plan_release
from afml.release.released import Released, apply_plan, mask_alone
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES

PEOPLE = dosages(60, SITES, seed=4)
RECORDS = np.arange(len(PEOPLE))


@pytest.fixture(scope="module")
def released(model: TrainedModel) -> tuple[Among, Released]:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5, patterns=8), people_per_file=60)
    knowledge = Knowledge(PANEL, lambda dosage: mask_alone(plan, dosage), plan.fill)
    return Among(knowledge, plan.codebook.shown(plan.masked), 160, "test"), apply_plan(plan, PEOPLE)


def by_record(among: Among, name: LinkedAlone, shown: int, profile: Int8) -> float:
    """Success at one record, as an attack reaches it whose candidates are this person and the stand-ins."""
    records = np.concatenate([among.patterns, among.patterns[shown : shown + 1]])
    truth, found = np.append(np.full(len(among.patterns), -1), 0), []
    for knowledge, people in among.sides:
        for number in range(SETS):
            candidates = np.concatenate([profile[None], among.stand_ins(people, number)])
            found.append(ATTACKS.get(name).seeded(0).success(Case(records, candidates, truth, knowledge))[-1])
    return float(np.mean(found))


@pytest.mark.parametrize("name", LINKED_ALONE)
def test_each_record_is_attacked_as_if_it_were_the_only_one(
    released: tuple[Among, Released], name: LinkedAlone
) -> None:
    among, file = released
    profiles = among.profiles(PEOPLE, RECORDS)
    found = among.success([name], file.patterns, profiles)[:, 0]
    some = slice(0, len(PEOPLE), 9)
    slow = [by_record(among, name, *one) for one in zip(file.patterns[some], profiles[some], strict=True)]
    np.testing.assert_allclose(found[some], slow)
    assert 0 < found.mean() < 1
    assert found.max() <= 1


@settings(max_examples=12, deadline=None)
@given(st.sets(st.integers(0, len(PEOPLE) - 1), min_size=1, max_size=20), st.sampled_from(LINKED_ALONE))
def test_what_is_found_of_a_person_does_not_depend_on_who_else_is_there(
    released: tuple[Among, Released], kept: set[int], name: LinkedAlone
) -> None:
    among, file = released
    some = np.array(sorted(kept))
    everybody, alone = among.profiles(PEOPLE, RECORDS), among.profiles(PEOPLE[some], some)
    np.testing.assert_array_equal(alone, everybody[some])
    whole = among.success([name], file.patterns, everybody)
    np.testing.assert_array_equal(among.success([name], file.patterns[some], alone), whole[some])
    members = outranked(file.dosage, everybody, among.knowledge)
    np.testing.assert_array_equal(outranked(file.dosage, alone, among.knowledge), members[some])


def test_attacks_that_read_a_shortlist_are_the_only_ones_left_out() -> None:
    assert set(ATTACKS.names()) - set(LINKED_ALONE) == {"trained identifier"}
    assert all(isinstance(ATTACKS.get(name).seeded(0), Linkage) for name in LINKED_ALONE)


def test_nobody_stands_in_whom_the_attacker_learned_from(released: tuple[Among, Released]) -> None:
    among, _ = released
    called = among.knowledge.complete_panel
    exact = replace(among, knowledge=replace(among.knowledge, panel=called, genotype_error=0.0, reference_missing=0.0))
    halves = []
    for known, people in exact.sides:
        stand_ins = exact.stand_ins(people, 0)
        assert stand_ins.shape == (159, SITES)
        assert not np.array_equal(stand_ins, exact.stand_ins(people, 1))
        for column in range(SITES):  # mosaics: nothing that the half does not have
            assert set(stand_ins[:, column]) <= set(people[:, column])
        assert not {row.tobytes() for row in known.panel} & {row.tobytes() for row in people}
        halves += [row.tobytes() for row in known.panel]
    assert sorted(halves) == sorted(row.tobytes() for row in called)


def test_unmasked_records_are_named_and_empty_ones_are_chance(released: tuple[Among, Released]) -> None:
    among, _ = released
    profiles = among.profiles(PEOPLE, RECORDS)
    open_ = Knowledge(PANEL, lambda dosage: dosage, "missing")
    patterns, own = np.unique(PEOPLE, axis=0, return_inverse=True)
    shown = replace(among, knowledge=open_, patterns=patterns)
    assert shown.success(["likelihood"], own, profiles).mean() > 0.95
    closed = Knowledge(PANEL, lambda dosage: np.full_like(dosage, -1), "missing")
    empty = replace(among, knowledge=closed, patterns=np.full((1, SITES), -1, np.int8))
    assert empty.success(["masker-aware"], np.zeros(len(PEOPLE), np.int64), profiles) == pytest.approx(1 / 160)


def test_means_over_people_are_the_areas_of_a_report(released: tuple[Among, Released]) -> None:
    among, file = released
    profiles = among.profiles(PEOPLE, RECORDS)
    assert tuple(attack.name for attack in membership_suite()) == MEMBERSHIP_SCORES
    told = infer_membership(file.dosage, profiles, among.knowledge).auc_by_attack
    found = outranked(file.dosage, profiles, among.knowledge).mean(axis=0)
    assert dict(zip(MEMBERSHIP_SCORES, found, strict=True)) == pytest.approx(told)
