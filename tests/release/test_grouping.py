"""Groups of at least k, whatever the file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ReleaseError
from afml.release.grouping import assign_groups, entropy_bits
from afml.release.patterns import Codebook, Pattern
from afml.release.quantiser import learn
from tests.masking.simulated import dosages


@given(
    people=st.integers(1, 60),
    k=st.integers(1, 30),
    patterns=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)
def test_every_pattern_in_a_file_is_shared_by_k(people: int, k: int, patterns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dosage = dosages(people, 8, seed) if people > 1 else rng.integers(-1, 3, size=(1, 8)).astype(np.int8)
    drawn: list[Pattern] = [()]
    for _ in range(patterns - 1):
        sites = np.sort(rng.choice(8, size=rng.integers(1, 4), replace=False))
        drawn.append(tuple((int(s), int(rng.integers(1, 3))) for s in sites))
    codebook = Codebook(8, tuple(drawn), rng.normal(size=(patterns, 1)))
    score = rng.normal(size=people)
    if people < k:
        with pytest.raises(ReleaseError, match="group"):
            assign_groups(codebook, dosage, score, k)
        return
    assigned = assign_groups(codebook, dosage, score, k)
    released = codebook.show(assigned, 0)
    _, counts = np.unique(released, axis=0, return_counts=True)
    assert counts.min() >= k
    assert len(counts) / people <= 1 / k
    # Nothing false is shown: what is not masked is the person's own genotype.
    assert np.all((released == 0) | (released == dosage))


def test_two_scores_at_once() -> None:
    people = dosages(100, 6, seed=2)
    scores = np.stack([people[:, 0], people[:, 1]], axis=1).astype(float)
    book = learn(people, scores, [((0, 2),), ((1, 2),)], patterns=3)
    assert book.centroids.shape == (3, 2)
    assert assign_groups(book, people, scores, 5).shape == (100,)


def test_a_small_group_is_fed_where_that_costs_less_than_closing_it() -> None:
    people = np.ones((30, 2), np.int8)
    score = np.concatenate([np.full(9, 2.0), np.full(21, 0.9)])
    book = Codebook(2, ((), ((0, 1),)), np.array([[0.0], [2.0]]))
    assigned = assign_groups(book, people, score, 10)
    assert np.bincount(assigned).tolist() == [20, 10]
    far = Codebook(2, ((), ((0, 1),)), np.array([[0.0], [9.0]]))
    lonely = np.concatenate([np.full(1, 5.0), np.full(29, -9.0)])
    assert np.bincount(assign_groups(far, people, lonely, 10)).tolist() == [30]


def test_entropy() -> None:
    assert entropy_bits(np.zeros(10, np.int64)) == 0.0
    assert entropy_bits(np.arange(8)) == pytest.approx(3.0)
