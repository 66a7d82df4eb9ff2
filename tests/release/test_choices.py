"""Choices of a file's people: as the whole table of distances says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.release import choices as module
from afml.release.choices import Choices, joined
from afml.release.grouping import grouped
from tests.release import slow


def drawn(people: int, patterns: int, scores: int, seed: int, *, ties: bool = False) -> Choices:
    """People with the empty pattern and about half of the others; with `ties`, many distances are equal."""
    rng = np.random.default_rng(seed)
    has = rng.random((people, patterns)) < 0.5
    has[:, 0] = True
    points, centroids = rng.normal(size=(people, scores)), rng.normal(size=(patterns, scores))
    if ties:
        points, centroids = points.round(), centroids.round()
    return Choices(points, np.packbits(has, axis=1), centroids)


@given(
    people=st.integers(0, 40), patterns=st.integers(1, 20), scores=st.integers(1, 12), seed=st.integers(0, 10_000),
    ties=st.booleans(),
)  # fmt: skip
def test_the_nearest_pattern_is_that_of_the_whole_table(
    people: int, patterns: int, scores: int, seed: int, ties: bool
) -> None:
    choices = drawn(people, patterns, scores, seed, ties=ties)
    whole = slow.table(choices)
    taken, distance = choices.nearest()
    assert np.array_equal(taken, whole.argmin(axis=1))
    assert np.array_equal(distance, whole.min(axis=1))
    for pattern in range(patterns):
        assert np.array_equal(choices.to(pattern), whole[:, pattern])


def test_closed_patterns_are_taken_by_nobody_and_people_may_be_asked_alone() -> None:
    choices = drawn(60, 9, 3, seed=1)
    closed = np.zeros(9, np.bool_)
    closed[[2, 5]] = True
    asked = np.array([50, 3, 17])
    whole = slow.table(choices)[asked]
    whole[:, closed] = np.inf
    taken, distance = choices.of(asked).nearest(closed)
    assert np.array_equal(taken, whole.argmin(axis=1))
    assert np.array_equal(distance, whole.min(axis=1))


def test_some_people_at_a_time_choose_as_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = drawn(100, 17, 2, seed=4)
    together = choices.nearest()
    cuts = [slice(start, start + 7) for start in range(0, 100, 7)]
    parts = [choices.of(np.arange(100)[cut]) for cut in cuts]
    monkeypatch.setattr(module, "_AT_ONCE", 40)  # two people
    for found, expected in zip(joined(parts).nearest(), together, strict=True):
        assert np.array_equal(found, expected)


@given(
    people=st.integers(1, 120), patterns=st.integers(1, 25), scores=st.integers(1, 3), k=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)  # fmt: skip
def test_groups_are_those_of_the_whole_table(people: int, patterns: int, scores: int, k: int, seed: int) -> None:
    if people < k:
        return
    choices = drawn(people, patterns, scores, seed)
    assert np.array_equal(grouped(choices, k), slow.grouped(slow.table(choices), k))


def test_many_small_groups_are_those_of_the_whole_table() -> None:
    choices = drawn(2000, 300, 4, seed=9)
    found = grouped(choices, 8)
    assert np.array_equal(found, slow.grouped(slow.table(choices), 8))
    assert np.bincount(found)[np.bincount(found) > 0].min() >= 8
