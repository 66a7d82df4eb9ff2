"""A coordinator's wish becomes a run that nodes accept, however large an institution is."""

from __future__ import annotations

import pytest

from afml.consortium.card import DataAgreement, NodeCard
from afml.masking.chosen import NAME
from afml.privacy.noise import STEPS_PER_SIGMA, fewest_bits, grid_for, node_std
from afml.training.planning import Rounds, Terms, configure
from afml.training.registry import find

PATIENT = Terms(deadline_s=1800.0)


@pytest.mark.parametrize(("people", "bits"), [(100, 12), (20_000, 20)])
def test_a_run_has_as_many_bits_as_its_largest_institution_needs(people: int, bits: int) -> None:
    data = DataAgreement(kind="genotypes", fingerprint="00", features=30)
    cards = [NodeCard(node=node, data=data, enrolled=people) for node in (1, 2, 3)]
    run = configure("c", cards, find(NAME), {}, Rounds(rounds=2), Terms())
    assert run.bits == bits == max(fewest_bits(run, phase) for phase in run.phases)
    for phase in run.phases:
        assert grid_for(run, phase).grid.step * STEPS_PER_SIGMA <= node_std(run, phase)


def test_a_run_waits_for_its_members_as_long_as_was_asked() -> None:
    data = DataAgreement(kind="genotypes", fingerprint="00", features=30)
    cards = [NodeCard(node=node, data=data, enrolled=100) for node in (1, 2, 3)]
    usual, patient = (configure("c", cards, find(NAME), {}, Rounds(rounds=2), terms) for terms in (Terms(), PATIENT))
    assert (usual.deadline_s, patient.deadline_s) == (300.0, 1800.0)
