"""What every task must do, whatever it trains; a task's own test calls it with a few people."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError
from afml.training.clipping import clipped_part
from afml.training.model import ArrayModel
from afml.training.task import Enrolled, Task
from crypto.public.random import SeededRandom


def keeps_the_contract(fresh: Callable[[], Task], run: RunConfig, enrolled: Enrolled) -> None:
    """Check a task.

    Args:
        fresh: Makes the task at its first parameters, its public part there if its phases need one.
        run: Of that task.
        enrolled: A few people, two at least.
    """
    _every_node_begins_alike(fresh)
    for phase, declared in enumerate(run.phases):
        task = fresh()
        assert task.length(phase) == declared.parameters
        assert sum(share**2 for share in task.blocks(phase)) <= 1 + 1e-12
        assert task.people_at_once(phase) >= 1
        _people_do_not_touch_each_other(task, phase, enrolled)
        _a_sum_moves_every_node_alike(fresh, phase, len(enrolled))
    for rubbish in (b"", b"rubbish"):
        with pytest.raises(IntegrityError):
            fresh().load_state(rubbish)
    if isinstance(fresh().model(), ArrayModel):
        _a_saved_model_says_what_it_said(fresh, enrolled)


def _every_node_begins_alike(fresh: Callable[[], Task]) -> None:
    first, second = fresh(), fresh()
    assert first.digest() == second.digest()
    assert len(first.digest()) == 32
    assert first.model().digest() == second.model().digest()


def _people_do_not_touch_each_other(task: Task, phase: int, enrolled: Enrolled) -> None:
    """The clipped sum of several is the sum of each one's, whoever shares the micro-batch; nothing is learned by it."""
    before, people = task.digest(), np.arange(len(enrolled))

    def part(who: NDArray[np.int64]) -> NDArray[np.float64]:
        return clipped_part(task, phase, 1.0, enrolled, who, SeededRandom(5, phase))

    together, alone = part(people), [part(people[index : index + 1]) for index in people]
    assert together.shape == (task.length(phase),)
    np.testing.assert_allclose(together, np.sum(alone, axis=0), atol=1e-4)
    np.testing.assert_array_equal(together, part(people))
    assert all(np.linalg.norm(one) <= 1 + 1e-9 for one in alone)
    assert task.digest() == before


def _a_sum_moves_every_node_alike(fresh: Callable[[], Task], phase: int, people: int) -> None:
    first, second = fresh(), fresh()
    total = np.random.default_rng(7).normal(size=first.length(phase))
    start = first.digest()
    for task in (first, second):
        task.apply(phase, total, people)
    assert first.digest() == second.digest() != start
    restored = fresh()
    restored.load_state(first.state())
    assert restored.digest() == first.digest()
    restored.apply(phase, total, people)
    first.apply(phase, total, people)
    assert restored.digest() == first.digest()
    with pytest.raises(IntegrityError):
        first.apply(phase, np.zeros(len(total) + 1), people)


def _a_saved_model_says_what_it_said(fresh: Callable[[], Task], enrolled: Enrolled) -> None:
    """A task either begins at saved models and predicts, or refuses both in one line."""
    trained, people = fresh(), np.arange(len(enrolled))
    trained.apply(0, np.random.default_rng(8).normal(size=trained.length(0)), len(people))
    before, model = trained.digest(), cast(ArrayModel, trained.model())
    try:
        said = trained.predict(enrolled, people)
    except ConfigError:
        with pytest.raises(ConfigError):
            fresh().load_model(model.arrays)
        return
    assert said.dtype == np.float64
    assert said.ndim == 2
    assert np.isfinite(said).all()
    alone = [trained.predict(enrolled, people[index : index + 1]) for index in people]
    np.testing.assert_allclose(said, np.concatenate(alone), rtol=1e-4, atol=1e-5)
    backwards = trained.predict(enrolled, people[::-1].copy())
    np.testing.assert_allclose(backwards, np.concatenate(alone[::-1]), rtol=1e-4, atol=1e-5)
    assert trained.digest() == before
    again = fresh()
    again.load_model(model.arrays)
    assert again.model().digest() == model.digest()
    np.testing.assert_allclose(again.predict(enrolled, people), said, rtol=1e-4, atol=1e-5)
    name, first = next(iter(model.arrays.items()))
    nowhere = np.full(first.shape, np.nan)
    for wrong in ({}, {**model.arrays, "another": first}, {**model.arrays, name: nowhere}):
        with pytest.raises(ConfigError):
            again.load_model(wrong)
    assert again.model().digest() == model.digest()
