"""Patterns, and how they are learned: each clever path beside a slow one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from afml.release.codebook import common_genotypes
from afml.release.greedy import _best_candidate, _candidates, learn_greedy
from afml.release.grouping import assign_groups
from afml.release.lloyd import lloyd
from afml.release.patterns import Codebook, Pattern, contains
from afml.release.quantiser import best_candidate, learn
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


def test_a_codebook_remembers_what_it_was_with_fewer_patterns() -> None:
    people = dosages(300, 40, seed=6, missing=0.0)
    score, weights = people[:, :12] @ np.linspace(1, 0.2, 12), np.where(np.arange(40) < 12, 1.0, 0.0)
    pool = common_genotypes(people)

    def greedy(patterns: int) -> Codebook:
        return learn_greedy(people, score, weights, patterns=patterns, min_share=0.05)

    def usual(patterns: int) -> Codebook:
        return learn(people, score, pool, patterns=patterns, min_share=0.05)

    for learned in (greedy, usual):
        book = learned(8)
        assert len(book.patterns) == 8
        for patterns in range(1, 9):
            fewer = book.first(patterns)
            assert fewer is not None
            assert len(fewer.patterns) == patterns
            assert fewer.digest() == learned(patterns).digest()
        whole, again = book.first(20), fewer.first(3)
        assert whole is not None
        assert whole.digest() == book.digest()
        assert again is not None
        assert again.digest() == learned(3).digest()
    assert Codebook(3, ((),), np.zeros((1, 1))).first(1) is None


@pytest.mark.parametrize("least", [0.0, 0.3, 0.95])
def test_the_best_candidate_is_the_one_of_the_exact_sums(least: float) -> None:
    """Among many that save nearly the same, which short numbers cannot tell apart."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        carried = rng.random((300, 900)) < rng.random((300, 1))
        carried[200:] = carried[7]  # alike but for a person each
        carried[np.arange(200, 300), rng.integers(900, size=100)] ^= True
        saved, free = np.maximum(rng.normal(size=(900, 6)), 0.0) * 1e-3, rng.random(300) < 0.8
        gain = carried.astype(np.float64) @ saved / 900
        gain[(carried.astype(np.float64) @ (saved > 0) / 900 < least) | ~free[:, None]] = 0.0
        gain = np.round(gain, 9)
        expected = divmod(int(gain.argmax()), 6) if gain.any() else None
        assert best_candidate(carried, saved, free, least) == expected
    assert best_candidate(carried, np.zeros((900, 6)), free, 0.0) is None


def _slow_candidate(
    points: np.ndarray, has: np.ndarray, now: np.ndarray, chosen: list[int], least: float
) -> tuple[int, float] | None:
    """The greedy choice, said plainly: every candidate that enough people gain by, from both halves of its carriers."""
    found = []
    for candidate in range(has.shape[1]):
        carriers = [person for person in range(len(points)) if has[person, candidate]]
        if candidate in chosen or not carriers:
            continue
        for side in (-1, 1):
            along = [side * (points[person, 0] - points[carriers, 0].mean()) for person in carriers]
            half = np.quantile(along, 0.5)
            centre = points[[p for p, one in zip(carriers, along, strict=True) if one >= half], 0].mean()
            for _ in range(2):
                near = [person for person in carriers if (points[person, 0] - centre) ** 2 < now[person]]
                if not near:
                    break
                centre = points[near, 0].mean()
            gains = [max(now[person] - (points[person, 0] - centre) ** 2, 0.0) for person in carriers]
            if sum(gain > 0 for gain in gains) >= least and sum(gains) > 0:
                found.append((-sum(gains), candidate, centre))
    return None if not found else min(found)[1:]


@pytest.mark.parametrize("least", [0.0, 0.2, 0.9])
def test_the_greedy_choice_is_what_slow_loops_say(least: float) -> None:
    rng = np.random.default_rng(8)
    points, has = rng.normal(size=(50, 1)), rng.random((50, 9)) < rng.random(9)
    has[:, 4] = False
    now, chosen = (points[:, 0] - 0.3) ** 2, [2, 5]
    free = [one for one in _candidates(points, has, least * 50) if one.number not in chosen]
    best, slow = _best_candidate(free, now, least * 50), _slow_candidate(points, has, now, chosen, least * 50)
    assert (best is None) == (slow is None) == (least == 0.9)
    if best is not None and slow is not None:
        assert best[0] == slow[0]
        assert best[1][0] == pytest.approx(slow[1])


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
