"""Patterns, and how they are learned: each clever path beside a slow one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from afml.release.codebook import common_genotypes
from afml.release.greedy import learn_greedy
from afml.release.grouping import assign_groups
from afml.release.lloyd import lloyd
from afml.release.patterns import Codebook, Pattern, contains
from afml.release.quantiser import learn
from tests.allocated import allocated
from tests.masking.simulated import dosages


def test_availability_is_what_a_slow_loop_says() -> None:
    people = dosages(20, 6, seed=4)
    patterns: tuple[Pattern, ...] = ((), ((0, 1),), ((1, 2), (3, 1)), ((5, 2),))
    got = Codebook(6, patterns, np.zeros((4, 1))).available(people)
    for person, row in enumerate(people):
        for index, pattern in enumerate(patterns):
            assert got[person, index] == all(row[site] == value for site, value in pattern)


@pytest.mark.parametrize("every", [1, 2])
def test_looking_at_few_sites_takes_no_copy_of_all(every: int) -> None:
    people = np.random.default_rng(1).integers(-1, 3, (600, 10_000)).astype(np.int8)[::every]
    patterns: tuple[Pattern, ...] = (((3, 1), (9000, 2)), ((17, 0),))
    assert np.array_equal(
        contains(people, patterns),
        np.stack([(people[:, 3] == 1) & (people[:, 9000] == 2), people[:, 17] == 0], axis=1),
    )
    assert allocated(lambda: contains(people, patterns)) < people.nbytes / 20


def test_the_greedy_codebook_finds_the_best_single_pattern() -> None:
    """With J = 2 it must be within a hair of trying every genotype with every threshold assignment."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, 3, size=(200, 5)).astype(np.int8)
    score = 2.0 * (people[:, 3] == 2) + 0.1 * rng.normal(size=200)
    book = learn_greedy(people, score, np.array([0.1, 0.0, 0.0, 1.0, 0.0]), patterns=2)
    assert book.patterns[1] == ((3, 2),)


def test_more_patterns_explain_more() -> None:
    people = dosages(300, 12, seed=2, missing=0.0)
    score = people @ np.linspace(1, 0, 12)
    pool: list[Pattern] = [((site, value),) for site in range(12) for value in (1, 2)]
    pool += [(a, b) for (a,), (b,) in combinations(pool, 2) if a[0] < b[0]]
    errors = []
    for patterns in (1, 3, 6, 12):
        book = learn(people, score, pool, patterns=patterns)
        assigned = book.assign(people, score)
        errors.append(np.mean((score - book.centroids[assigned, 0]) ** 2))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


def test_the_codebook_reads_like_a_binned_score() -> None:
    """The first pattern is the best of all genotypes with all trial centroids, and more come close to bins."""
    people = dosages(600, 60, seed=2, missing=0.0)
    score = people[:, :20] @ np.linspace(1, 0.2, 20)
    book = learn(people, score, common_genotypes(people), patterns=10, min_share=0.05)
    assert book.centroids[0, 0] == pytest.approx(score.mean())
    shown = [site for pattern in book.patterns for site, _ in pattern]
    assert len(set(shown)) == len(shown) == 9
    told = book.centroids[assign_groups(book, people, score, 30), 0]
    assert 1 - np.mean((told - score) ** 2) / score.var() > 0.9


def test_the_first_pattern_is_the_best_of_a_slow_search() -> None:
    people = dosages(80, 6, seed=3, missing=0.0)
    score = people @ np.array([1.0, 0.5, 0.2, 0.1, -0.4, 0.3])
    pool = common_genotypes(people)
    book = learn(people, score, pool, patterns=2)
    errors = {}
    for pattern in pool:
        has = people[:, pattern[0][0]] == pattern[0][1]
        for level in np.quantile(score, (np.arange(24) + 0.5) / 24):
            near = np.minimum((score - score.mean()) ** 2, (score - level) ** 2)
            errors[pattern, level] = np.where(has, near, (score - score.mean()) ** 2).sum()
    assert book.patterns[1] == min(errors, key=errors.__getitem__)[0]


@pytest.mark.parametrize("empty_moves", [False, True])
def test_lloyds_iteration_is_what_slow_loops_say(empty_moves: bool) -> None:
    rng = np.random.default_rng(5)
    points, has = rng.normal(size=(40, 2)), rng.random((40, 3)) < 0.5
    start = rng.normal(size=(4, 2))
    expected = start.copy()
    for _ in range(3):
        taken = []
        for person in range(40):
            free = [0] + [j + 1 for j in range(3) if has[person, j]]
            taken.append(min(free, key=lambda j: float(((points[person] - expected[j]) ** 2).sum())))
        for j in range(4):
            members = [points[person] for person in range(40) if taken[person] == j]
            if members and (j > 0 or empty_moves):
                expected[j] = np.mean(members, axis=0)
    moved = lloyd(points, has, start.copy(), steps=3, empty_moves=empty_moves)
    np.testing.assert_allclose(moved, expected)
    assert np.array_equal(moved[0], start[0]) != empty_moves
