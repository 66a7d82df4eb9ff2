"""One private round: who is drawn, what is sent, which randomness it takes. The task is the masking task."""

from __future__ import annotations

import numpy as np
import pytest

from afml.masking.enrolled import Enrolled
from afml.masking.task import MaskingTask
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, enrolled, small_task

SITES, PEOPLE = 24, 30


@pytest.fixture
def task() -> MaskingTask:
    made = small_task(config(SITES, PEOPLE))
    made.load_public(made.train_public())
    return made


@pytest.fixture
def people() -> Enrolled:
    return enrolled(SITES, PEOPLE)[1]


@pytest.mark.parametrize("phase", [RISK_PHASE, GAME_PHASE])
def test_an_empty_batch_sends_noise_alone(task: MaskingTask, people: Enrolled, phase: int) -> None:
    nobody = people.rows(np.arange(0))
    update = Trainer(task.run, task, nobody).private_update(phase, source(1, "round"), 2.5)
    expected = 2.5 * source(1, "round").child("noise").normal(task.length(phase))
    np.testing.assert_array_equal(update, expected)


def test_the_batch_is_a_poisson_sample(task: MaskingTask, people: Enrolled, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(
        Trainer, "clipped_sum", lambda self, phase, batch, stream: drawn.append(len(batch)) or np.zeros(1)
    )
    for attempt in range(200):
        Trainer(task.run, task, people).private_update(GAME_PHASE, source(1, attempt), 0.0)
    # 200 x 30 people at rate 0.5: mean 15 per round, standard error 0.19.
    assert abs(np.mean(drawn) - 15.0) < 1.0
    assert len(set(drawn)) > 3


def test_rounds_and_nodes_draw_their_own_randomness(task: MaskingTask, people: Enrolled) -> None:
    trainer = Trainer(task.run, task, people)
    first, again, round_two, node_two = (
        trainer.update(node, round_number).values for node, round_number in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, round_two)
    assert not np.array_equal(first, node_two)


def test_without_a_seed_nothing_repeats(people: Enrolled) -> None:
    run = config(SITES, PEOPLE, seed=None)
    trainer = Trainer(run, small_task(run), people)
    one, two = (trainer.update(1, 1).values for _ in range(2))
    assert not np.array_equal(one, two)
