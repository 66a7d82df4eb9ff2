"""Masks and groupings that baselines are made of."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.distinct import largest_group
from afml.evaluation.masks import (
    mask_rare,
    merge_prefixes,
    random_mask,
    randomised_response,
    rates_with_groups,
    sensitive_mask,
    static_mask,
)
from tests.simulated import simulate_dosage


def test_random_masks_keep_their_rate_and_repeat() -> None:
    dosage = np.ones((300, 200), dtype=np.int8)
    mask = random_mask(0.1, -1, 7)
    released = mask(dosage)
    assert (released == 1).mean() == pytest.approx(0.1, abs=0.005)
    np.testing.assert_array_equal(released, mask(dosage))
    assert (released != random_mask(0.1, -1, 8)(dosage)).any()


def test_randomised_response_keeps_its_epsilon() -> None:
    dosage = np.random.default_rng(0).integers(-1, 3, (400, 300)).astype(np.int8)
    for epsilon in (0.5, 2.0):
        shown = randomised_response(epsilon, 3)(dosage)
        called = dosage >= 0
        np.testing.assert_array_equal(shown[~called], -1)
        for true in range(3):
            rates = [(shown[dosage == true] == value).mean() for value in range(3)]
            lies = [rate for value, rate in enumerate(rates) if value != true]
            assert rates[true] / lies[0] == pytest.approx(np.exp(epsilon), rel=0.08)
            assert lies[0] == pytest.approx(lies[1], abs=0.01)


def test_sensitive_sites_are_hidden_and_nothing_else() -> None:
    dosage = np.ones((4, 6), dtype=np.int8)
    released = sensitive_mask(np.array([1, 4]), 0)(dosage)
    assert released.sum(axis=0).tolist() == [4, 0, 4, 4, 0, 4]
    assert dosage.all()


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("size", [1, 5, 20, 79])
def test_merged_records_form_groups_and_show_only_the_truth(size: int, value: int) -> None:
    dosage = simulate_dosage(79, 30, 2)
    sites = np.array([7, 3, 22, 11, 0])
    static = static_mask(sites, value)(dosage)
    random = random_mask(0.05, value, 1)(dosage)
    for records, merged in (
        (static, merge_prefixes(static, sites, size, value)),
        (random, mask_rare(random, size, value)),
    ):
        counts = np.unique(merged, axis=0, return_counts=True)[1]
        assert counts.min() >= size
        assert ((merged == records) | (merged == value)).all()
    if size == 1:
        np.testing.assert_array_equal(merge_prefixes(static, sites, 1, value), static)


def test_a_file_below_the_group_size_shows_nothing() -> None:
    dosage = simulate_dosage(10, 12, 1)
    assert not mask_rare(dosage, 11, 0).any()


def test_prefixes_are_as_long_as_groups_allow() -> None:
    """(1, 1) is shared twice and stays; two more share (1, .); whoever is alone shows nothing, and so joins them."""
    records = np.array([[1, 1], [1, 1], [1, 2], [1, 0], [2, 1], [0, 1]], dtype=np.int8)
    merged = merge_prefixes(records, np.array([0, 1]), 2, -1)
    assert merged.tolist() == [[1, 1], [1, 1], [1, -1], [1, -1], [-1, -1], [-1, -1]]


def slow_mask_rare(records: np.ndarray, size: int, value: int) -> np.ndarray:
    """Written out: mask what too few show; while too few show nothing, the smallest groups join them."""
    rows = [tuple(row) for row in records.tolist()]
    nothing = (value,) * records.shape[1]
    rows = [row if rows.count(row) >= size else nothing for row in rows]
    while 0 < rows.count(nothing) < size and set(rows) != {nothing}:
        smallest = min(rows.count(row) for row in rows if row != nothing)
        rows = [nothing if row != nothing and rows.count(row) == smallest else row for row in rows]
    return np.array(rows, dtype=np.int8).reshape(records.shape)


def slow_merge_prefixes(records: np.ndarray, sites: np.ndarray, size: int, value: int) -> np.ndarray:
    """Written out: the longest prefix that so many of those who are left share, the deepest first."""
    out, left = np.full_like(records, value), list(range(len(records)))
    everybody = [tuple(row) for row in records[:, sites].tolist()]
    for depth in range(len(sites), 0, -1):
        shown = [everybody[i][:depth] for i in left]
        for i, prefix in zip(left, shown, strict=True):
            if shown.count(prefix) >= size:
                out[i, sites[:depth]] = prefix
        left = [i for i, prefix in zip(left, shown, strict=True) if shown.count(prefix) < size]
    return slow_mask_rare(out, size, value)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("value", [0, -1])
def test_groups_are_those_of_the_rule_written_out(seed: int, value: int) -> None:
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.25, size=(60, 9)).astype(np.int8)
    for size in (1, 3, 7, 61):
        random = random_mask(0.2 + 0.1 * seed, value, seed)(dosage)
        np.testing.assert_array_equal(mask_rare(random, size, value), slow_mask_rare(random, size, value))
        sites = rng.permutation(9)[: 2 + seed % 4]
        static = static_mask(sites, value)(dosage)
        np.testing.assert_array_equal(
            merge_prefixes(static, sites, size, value), slow_merge_prefixes(static, sites, size, value)
        )


@pytest.mark.parametrize("value", [0, -1])
def test_rates_without_groups_are_those_at_which_nothing_is_left(value: int) -> None:
    rng = np.random.default_rng(5)
    dosage = rng.binomial(2, 0.4, size=(300, 6)).astype(np.int8)
    rates, files, seed = (0.001, 0.05, 0.3, 0.7, 1.0), (120, 180), (1, 1, 0)
    for size in (2, 6, 12, 40):
        expected = set()
        for rate in rates:
            released = random_mask(rate, value, *seed)(dosage)
            if any((mask_rare(file, size, value) != value).any() for file in np.split(released, [120])):
                expected.add(rate)
        found = rates_with_groups(dosage, files, size, rates, value, *seed)
        assert found >= expected
        for rate in found - expected:  # too few showed nothing, and all groups joined them
            released = random_mask(rate, value, *seed)(dosage)
            assert any(largest_group(file) >= size for file in np.split(released, [120]))
    assert 1.0 in rates_with_groups(dosage, files, 2, rates, value, *seed)
    assert rates_with_groups(dosage, files, 40, (0.001, 0.7), value, *seed) < {0.001, 0.7, 1.0}
