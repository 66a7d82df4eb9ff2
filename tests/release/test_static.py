"""The static method: everybody shows the same sites, as many of them as enough others share."""

from __future__ import annotations

import numpy as np
import pytest

from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from afml.release.static import METHOD, strongest_sites
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES, without_network


def weighing(weights: dict[int, float] | list[dict[int, float]]) -> TrainedModel:
    """A model with these weights and nothing else."""
    rows = [weights] if isinstance(weights, dict) else weights
    table = np.zeros((len(rows), SITES))
    for row, own in zip(table, rows, strict=True):
        row[list(own)] = list(own.values())
    return TrainedModel(
        np.ones(SITES),
        np.ones(SITES),
        np.zeros((SITES, 0), np.float32),
        table if len(rows) > 1 else table[0],
        np.zeros(0),
    )


def test_two_sites_make_nine_patterns_and_everybody_shows_both() -> None:
    people = np.zeros((900, SITES), np.int8)
    people[:, 3], people[:, 7] = np.arange(900) % 3, np.arange(900) // 3 % 3
    book = METHOD.learn(weighing({3: -2.0, 7: 1.0}), people, people, 10, 0.02)
    assert len(book.patterns) == 9
    shown = book.show(book.assign(people, METHOD.points(weighing({3: -2.0, 7: 1.0}), book, people)), 0)
    assert np.array_equal(shown[:, [3, 7]], people[:, [3, 7]])
    assert not np.delete(shown, [3, 7], axis=1).any()


def test_a_person_takes_the_pattern_that_hides_least_of_the_weight() -> None:
    """The slow and obvious way: every pattern of everybody, weighed by hand."""
    weights = {2: 3.0, 5: -2.0, 11: 1.0}
    model, people = weighing(weights), dosages(300, SITES, seed=6)
    book = METHOD.learn(model, people, people, 12, 0.03)
    assert {site for pattern in book.patterns for site, _ in pattern} <= set(weights)
    taken = book.assign(people, METHOD.points(model, book, people))
    for person, row in enumerate(people):
        best = None
        for index, pattern in enumerate(book.patterns):
            if any(row[site] != value for site, value in pattern):
                continue
            hidden = [site for site in weights if site not in dict(pattern)]
            shown_anywhere = {site for one in book.patterns for site, _ in one}
            loss = sum((weights[s] * max(int(row[s]), 0)) ** 2 for s in hidden if s in shown_anywhere)
            if best is None or loss < best[0]:
                best = (loss, index)
        assert best is not None
        assert taken[person] == best[1]


def test_no_more_patterns_than_asked_for_and_none_that_too_few_have() -> None:
    model, people = weighing({2: 3.0, 5: 2.0, 11: 1.0}), dosages(400, SITES, seed=2)
    for patterns in range(1, 12):
        book = METHOD.learn(model, people, people, patterns, 0.05)
        assert len(book.patterns) <= patterns
        sizes = np.bincount(book.assign(people, METHOD.points(model, book, people)), minlength=len(book.patterns))
        assert sizes.min() >= 0.05 * 400
    assert METHOD.learn(model, people, people, 2, 0.05).patterns == ((),)  # a site has three genotypes


def test_a_missing_call_is_never_shown() -> None:
    model, people = weighing({2: 1.0}), dosages(200, SITES, seed=2)
    book = METHOD.learn(model, people, people, 3, 0.02)
    people[:50, 2] = -1
    shown = book.show(book.assign(people, METHOD.points(model, book, people)), -1)
    assert (shown[:50] == -1).all()


def test_sites_of_several_scores_take_turns() -> None:
    model = weighing([{4: 1.0, 9: -3.0}, {9: 5.0, 1: 2.0, 0: -1.0}])
    assert strongest_sites(model.weights).tolist() == [9, 4, 1, 0]
    assert strongest_sites(np.zeros(SITES)).tolist() == []


@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_file_is_released_in_groups(model: TrainedModel, fill: str) -> None:
    settings = ReleaseSettings(method="static", min_group_size=6, patterns=9, fill=fill)  # type: ignore[arg-type]
    plan = plan_release(without_network(model), PANEL, settings, people_per_file=50)
    people = dosages(50, SITES, seed=77)
    released = apply_plan(plan, people)
    assert released.min_group_size >= 6
    alone = mask_alone(plan, people)
    strongest = strongest_sites(model.weights)[0]
    wanted = np.where(people[:, strongest] > 0, people[:, strongest], plan.masked)
    assert np.mean(alone[:, strongest] == wanted) > 0.9  # but for a genotype that too few have
