"""Cells of the scores, and the patterns that they are given: each clever path beside a slow one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from afml.release.cells import METHOD, bound, common_patterns, everything, learn_cells, quantise
from afml.release.codebook import common_genotypes
from afml.release.grouping import assign_groups
from afml.release.patterns import Pattern, contains
from afml.release.quantiser import learn
from tests.masking.simulated import dosages


def test_a_quantiser_begins_small_cells_again_and_leaves_the_first_at_the_mean() -> None:
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(size=(900, 2)), [[40.0, 40.0]]])  # one far away would have a cell of its own
    centroids = quantise(points, 30, 10.0)
    assert np.array_equal(centroids[0], points.mean(axis=0))
    taken, _ = everything(points, centroids).nearest()
    sizes = np.bincount(taken, minlength=30)
    assert np.count_nonzero(sizes[1:] < 10) <= 3
    plain = quantise(points, 30, 0.0)
    start = np.concatenate([points.mean(axis=0)[None], points[np.linspace(0, 900, 29).astype(int)]])
    assert everything(points, plain).nearest()[1].sum() < everything(points, start).nearest()[1].sum()
    assert np.array_equal(quantise(points, 30, 10.0), centroids)
    assert np.array_equal(quantise(points, 1, 10.0), points.mean(axis=0)[None])


def test_common_patterns_are_the_most_carried_genotypes_and_pairs() -> None:
    people = dosages(200, 5, seed=1, missing=0.0)
    singles = {((site, value),): float((people[:, site] == value).mean()) for site in range(5) for value in range(3)}
    singles = {pattern: share for pattern, share in singles.items() if share > 0}
    shares = dict(singles)
    for (one,), its in singles.items():
        shares |= {(one, other): its * share for (other,), share in singles.items() if one[0] < other[0]}
    found = common_patterns(people, 30)
    assert len(found) == len(set(found)) == 30
    got = [shares[pattern] for pattern in found]
    assert got == pytest.approx(sorted(shares.values(), reverse=True)[:30])
    assert all(value == 2 for pattern in common_patterns(people, 10, (2,)) for _, value in pattern)


def test_patterns_are_given_to_cells_as_the_best_of_all_ways() -> None:
    people = dosages(120, 4, seed=5, missing=0.0)
    points = np.random.default_rng(5).normal(size=(120, 2))
    centroids = quantise(points, 5, 1.0)
    pool: list[Pattern] = [((site, value),) for site in range(3) for value in (1, 2)]
    shown, _ = bound(people, points, centroids, pool)
    taken = everything(points, centroids).nearest()[0]
    has = contains(people, pool)

    def served(given: tuple[int, ...]) -> int:
        return sum(int(has[taken == cell + 1, pattern].sum()) for cell, pattern in enumerate(given))

    best = max(served(given) for given in permutations(range(6), 4))
    assert shown[0] == ()
    assert served(tuple(pool.index(pattern) for pattern in shown[1:])) == best


def test_where_patterns_are_fewer_than_cells_some_cells_are_left_out() -> None:
    people = dosages(80, 3, seed=6)
    points = np.random.default_rng(6).normal(size=(80, 1))
    shown, centroids = bound(people, points, quantise(points, 9, 1.0), [((0, 1),), ((2, 1),)])
    assert sorted(shown) == [(), ((0, 1),), ((2, 1),)]
    assert centroids.shape == (3, 1)


def test_cells_say_more_of_several_scores_than_genotypes_chosen_one_by_one() -> None:
    people = dosages(4000, 120, seed=8, missing=0.0)
    weights = np.random.default_rng(8).normal(size=(5, 120)) * (np.random.default_rng(9).random((5, 120)) < 0.3)
    score = people @ weights.T
    score[:, 0] *= 1000.0  # a score in other units is worth no more than the others

    def told(book_of: object, patterns: int) -> float:
        book = book_of(patterns)  # type: ignore[operator]
        said = book.centroids[assign_groups(book, people, score, 10)]
        return float(np.mean([np.corrcoef(said[:, at], score[:, at])[0, 1] for at in range(5)]))

    cells = told(lambda many: learn_cells(people, score, patterns=many, min_share=0.0025), 200)
    single = told(lambda many: learn(people, score / score.std(axis=0), common_genotypes(people), patterns=many), 30)
    assert cells > 0.7
    assert cells > single + 0.1 or single < 0.6


def test_no_more_cells_than_people_can_fill() -> None:
    people = dosages(400, 30, seed=3)
    book = learn_cells(people, people[:, :3].astype(float), patterns=100, min_share=0.1)
    assert len(book.patterns) <= 8
    assert METHOD.many
