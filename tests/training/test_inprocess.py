"""The reference trainer: a function of run and seed, with the bits of nodes that train apart."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import ConfigError
from afml.masking.kind import train_masking
from afml.masking.settings import GAME
from afml.privacy.noise import round_grid
from afml.training.inprocess import train_in_process
from afml.training.step import Trainer, apply_total
from tests.masking.simulated import config, dosages, enrolled, sites_panel, small_task

SITES, PEOPLE = 24, 30


def test_training_is_a_function_of_configuration_and_seed() -> None:
    run, panel = config(SITES, PEOPLE), dosages(60, SITES, seed=0)
    models = [train_masking(run, sites_panel(SITES), panel, enrolled(SITES, PEOPLE)) for _ in range(2)]
    assert models[0].digest() == models[1].digest()


def test_the_in_process_sum_is_the_federations() -> None:
    """Nodes that each hold a task of their own end with the bits of the reference."""
    run, panel, people = config(SITES, PEOPLE), dosages(60, SITES, seed=0), enrolled(SITES, PEOPLE)
    reference = train_masking(run, sites_panel(SITES), panel, people)
    nodes = {node: small_task(run) for node in run.nodes}
    for round_number in range(1, run.rounds + 1):
        _, phase = run.phase_of(round_number)
        if phase.name == GAME:
            blob = nodes[2].train_public()
            for each in nodes.values():
                each.load_public(blob)
        grid = round_grid(run, round_number)
        updates = []
        for node in reversed(run.nodes):
            update = Trainer(run, nodes[node], people[node]).update(node, round_number)
            updates.append(update.rounded(grid))
        for each in nodes.values():
            apply_total(each, run, round_number, run.nodes, np.sum(updates, axis=0))
        assert len({each.digest() for each in nodes.values()}) == 1
    assert nodes[1].model().digest() == reference.digest()


def test_it_says_how_far_it_is() -> None:
    run = config(SITES, PEOPLE)
    told: list[tuple[str, int, int]] = []
    train_in_process(run, small_task(run), enrolled(SITES, PEOPLE), lambda *said: told.append(said))
    public = [("public part", step, 3) for step in (1, 2, 3)]
    assert told == [("private rounds", 1, 3), ("private rounds", 2, 3), *public, ("private rounds", 3, 3)]


@pytest.mark.parametrize("wrong", [{}, {1: 30}, {1: 30, 2: 30, 3: 29}])
def test_other_people_than_declared_are_refused(wrong: dict[int, int]) -> None:
    run, people = config(SITES, PEOPLE), enrolled(SITES, PEOPLE)
    given = {node: people[node].rows(np.arange(count)) for node, count in wrong.items()}
    with pytest.raises(ConfigError, match="do not match the enrolment declared"):
        train_in_process(run, small_task(run), given)
