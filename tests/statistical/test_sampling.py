"""Poisson sampling as the training step does it: its rate, and that nobody's draw depends on anybody.

Fixed seeds; each test would refuse a right mechanism with probability at most 1e-6 over seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm

from afml.audit.rounds import nobody, together
from afml.masking.enrolled import Enrolled
from afml.training.step import Trainer
from tests.masking.simulated import config, enrolled, small_task

FALSE_ALARM = 1e-6
SITES, PEOPLE, ROUNDS, RATE = 8, 40, 1500, 0.1
Draw = Callable[[Enrolled, int, int], NDArray[np.bool_]]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """(people, node, round) -> who was in the batch of the real training step, [people]."""
    base = config(SITES, PEOPLE, seed=31)
    run = base.model_copy(
        update={"phases": (base.phases[0].model_copy(update={"rounds": ROUNDS, "sample_rate": RATE}),)}
    )
    task = small_task(run, panel_people=20)
    batches: list[NDArray[np.int64]] = []

    def seen(self: Trainer, phase: int, batch: NDArray[np.int64], stream: object) -> NDArray[np.float64]:
        batches.append(batch)
        return np.zeros(SITES + 1)

    monkeypatch.setattr(Trainer, "clipped_sum", seen)

    def sample(people: Enrolled, node: int, round_number: int) -> NDArray[np.bool_]:
        Trainer(run, task, people).update(node, round_number)
        return np.isin(np.arange(len(people)), batches.pop())

    return sample


@pytest.fixture
def people() -> Enrolled:
    return enrolled(SITES, PEOPLE)[1]


def test_everybody_is_drawn_at_the_declared_rate(draw: Draw, people: Enrolled) -> None:
    """The total is binomial, and so is every person's count; the counts' spread is chi-square."""
    drawn = np.array([draw(people, 1, number) for number in range(1, ROUNDS + 1)])  # [rounds, people]
    total, tail = int(drawn.sum()), FALSE_ALARM / 4
    assert binom.ppf(tail, ROUNDS * PEOPLE, RATE) <= total <= binom.isf(tail, ROUNDS * PEOPLE, RATE)
    counts = drawn.sum(axis=0)
    assert binom.ppf(tail / PEOPLE, ROUNDS, RATE) <= counts.min()
    assert counts.max() <= binom.isf(tail / PEOPLE, ROUNDS, RATE)
    # Batch sizes vary as independent draws do: a fixed batch size would show here.
    dispersion = float(np.sum((drawn.sum(axis=1) - RATE * PEOPLE) ** 2)) / (PEOPLE * RATE * (1 - RATE))
    assert chi2(ROUNDS).ppf(tail) < dispersion < chi2(ROUNDS).isf(tail / 10)  # a binomial's tails are a little heavier


def test_people_rounds_and_nodes_are_drawn_independently(draw: Draw, people: Enrolled) -> None:
    first = np.array([draw(people, 1, number) for number in range(1, ROUNDS + 1)], dtype=float) - RATE
    second = np.array([draw(people, 2, number) for number in range(1, ROUNDS + 1)], dtype=float) - RATE
    variance = RATE * (1 - RATE)
    pairs = PEOPLE * (PEOPLE - 1) // 2
    limit = norm.isf(FALSE_ALARM / 100 / pairs)  # sums of products of rare indicators have heavier tails
    between = first.T @ first / (variance * np.sqrt(ROUNDS))
    assert np.abs(between[~np.eye(PEOPLE, dtype=bool)]).max() < limit
    everybody = np.sqrt(ROUNDS * PEOPLE) * variance
    assert abs(float(np.sum(first * second))) / everybody < limit  # the same round at two nodes
    assert abs(float(np.sum(first[1:] * first[:-1]))) / everybody < limit  # successive rounds


def test_nobodys_draw_depends_on_who_else_is_enrolled(draw: Draw, people: Enrolled) -> None:
    """Somebody more, or other genotypes: the same people are drawn from the same stream."""
    extra = Enrolled(people.dosage[:1], people.phenotype[:1])
    other = Enrolled(np.flip(people.dosage, axis=0).copy(), 1 - people.phenotype)
    for number in range(1, 20):
        alone = draw(people, 1, number)
        np.testing.assert_array_equal(draw(together(people, extra), 1, number)[:PEOPLE], alone)
        np.testing.assert_array_equal(draw(other, 1, number), alone)


def test_small_rates_give_empty_batches_and_nobody_is_never_drawn(draw: Draw, people: Enrolled) -> None:
    few = Enrolled(people.dosage[:3], people.phenotype[:3])
    empty = sum(not draw(few, 1, number).any() for number in range(1, 401))
    chance = (1 - RATE) ** 3
    assert binom.ppf(FALSE_ALARM, 400, chance) <= empty <= binom.isf(FALSE_ALARM, 400, chance)
    assert draw(nobody(SITES), 1, 1).shape == (0,)
