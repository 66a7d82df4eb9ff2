"""Kinship: against a slow count, and that chance is not taken for a relative."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.genomics import kinship
from afml.genomics.kinship import FIRST_DEGREE, Pair, Resolution, kinship_sites
from afml.genomics.packed import PackedDosage
from tests.simulated import simulate_dosage, simulate_panel

SITES = 1024


def independent(people: int, sites: int, seed: int) -> NDArray[np.int8]:
    """Strangers at independent sites."""
    rng = np.random.default_rng(seed)
    return rng.binomial(2, rng.uniform(0.1, 0.5, sites), (people, sites)).astype(np.int8)


def child(one: NDArray[np.int8], other: NDArray[np.int8], seed: int) -> NDArray[np.int8]:
    """A child of two people, at independent sites."""
    rng = np.random.default_rng(seed)
    return sum(
        (parent == 2) + ((parent == 1) & (rng.random(len(parent)) < 0.5)).astype(np.int8) for parent in (one, other)
    ).astype(np.int8)


def read_again(dosage: NDArray[np.int8], seed: int, wrong: float = 0.01, missing: float = 0.0) -> NDArray[np.int8]:
    """Genotyped once more: some calls are another genotype's, some are missing."""
    rng = np.random.default_rng(seed)
    other = (dosage + rng.integers(1, 3, dosage.shape)) % 3
    read = np.where(rng.random(dosage.shape) < wrong, other, dosage)
    return np.where(rng.random(dosage.shape) < missing, -1, read).astype(np.int8)


def resolution_of(people: NDArray[np.int8], panel: NDArray[np.int8]) -> Resolution:
    return kinship.resolution(PackedDosage.of(people), PackedDosage.of(panel))


def related_of(people: NDArray[np.int8], told: Resolution, others: NDArray[np.int8] | None = None) -> list[Pair]:
    return kinship.related(PackedDosage.of(people), told, None if others is None else PackedDosage.of(others))


def slow(a: NDArray[np.int8], b: NDArray[np.int8]) -> tuple[float, float]:
    """(KING-robust kinship, concordance), site by site as the paper has it."""
    both = [(int(x), int(y)) for x, y in zip(a, b, strict=True) if x >= 0 and y >= 0]
    het_a, het_b = sum(x == 1 for x, _ in both), sum(y == 1 for _, y in both)
    together = sum(x == y == 1 for x, y in both)
    opposite = sum({x, y} == {0, 2} for x, y in both)
    least = min(het_a, het_b)
    phi = (together - 2 * opposite) / (2 * least) + 0.5 - (het_a + het_b) / (4 * least)
    return phi, sum(x == y for x, y in both) / len(both)


def test_likeness_is_that_of_a_slow_count() -> None:
    dosage = read_again(independent(9, 200, 1), 2, missing=0.1)
    found = kinship._likeness(dosage[:4], dosage[4:])
    for row in range(4):
        for column in range(5):
            expected = slow(dosage[row], dosage[4 + column])
            assert found.kinship[row, column] == pytest.approx(expected[0], abs=1e-5)
            assert found.concordance[row, column] == pytest.approx(expected[1], abs=1e-6)


def test_the_same_person_and_relatives_are_found_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    people = independent(40, SITES, 3)
    family = np.stack([read_again(people[7], 4), child(people[0], people[1], 5)])
    people, panel = np.concatenate([people, family]), independent(60, SITES, 6)
    told = resolution_of(people, panel)
    assert (told.same, told.degree) == (True, FIRST_DEGREE)
    expected = [(0, 41, False), (1, 41, False), (7, 40, True)]
    for block in (2048, 16):
        monkeypatch.setattr(kinship, "_PEOPLE", block)
        assert [(p.first, p.second, p.same) for p in related_of(people, told)] == expected
    across = related_of(people[:5], told, np.concatenate([panel, people[2:3]]))
    assert [(p.first, p.second, p.same) for p in across] == [(2, 60, True)]


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("told", [Resolution(True, FIRST_DEGREE), Resolution(True, 1.0), Resolution(False, 0.02)])
def test_strangers_are_passed_over_and_nobody_else(
    missing: float, told: Resolution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinship, "_PEOPLE", 16)
    monkeypatch.setattr(kinship, "_ROWS", 5)
    people = independent(30, 100, 3)
    again = [child(people[one], people[one + 1], one) for one in range(10)] + [read_again(people[9], 4)]
    people = read_again(np.concatenate([people, again]), 5, wrong=0.0, missing=missing)
    found = kinship._likeness(people, people)
    same = found.same & told.same
    asked = np.triu(same | (found.kinship >= told.degree), 1)
    assert asked.sum() >= 1 + 9 * (told.degree < 1)
    assert [(p.first, p.second) for p in related_of(people, told)] == list(zip(*np.nonzero(asked), strict=True))
    if missing < 0.1:
        assert kinship._near(people, people, 0.3).mean() < 0.2


def test_nobody_without_a_call_is_anybodys_relative() -> None:
    people = np.concatenate(
        [independent(30, SITES, 3), np.full((2, SITES), -1, np.int8), np.zeros((2, SITES), np.int8)]
    )
    told = resolution_of(people, independent(30, SITES, 4))
    assert related_of(people, told) == []


@pytest.mark.parametrize("sites", [8, 24])
def test_too_few_sites_are_said_to_tell_nothing(sites: int) -> None:
    """Linked sites of few founders: strangers are alike by chance."""
    dosage = simulate_dosage(120, sites, seed=sites)
    assert resolution_of(dosage[60:], dosage[:60]) == Resolution(False, 1.0)
    assert not related_of(dosage, Resolution(False, 1.0))


def test_strangers_of_linked_genomes_are_nobodys_relatives() -> None:
    dosage = simulate_dosage(500, 600, seed=8)
    panel = simulate_panel(dosage[:200])
    sites = kinship_sites(panel)
    own = dosage[200:, sites]
    told = resolution_of(own, dosage[:200][:, sites])
    assert told.same
    assert related_of(own, told) == []


def test_twenty_copies_of_one_person_are_told_from_the_panel() -> None:
    person = independent(1, SITES, 1)
    copies = read_again(np.repeat(person, 20, axis=0), 2)
    told = resolution_of(copies, independent(50, SITES, 3))
    pairs = related_of(copies, told)
    assert len(pairs) == 190
    assert all(pair.same and isinstance(pair, Pair) for pair in pairs)
