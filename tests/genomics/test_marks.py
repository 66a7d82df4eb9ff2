"""Marks: a person's record is known again after genotyping errors, a stranger's is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.genomics.marks import BANDS, bands, genotype_marks
from afml.genomics.sites import SitePanel
from tests.genomics.test_kinship import read_again
from tests.simulated import simulate_dosage, simulate_panel

PANEL = 300


def setting(sites: int, people: int = 400) -> tuple[SitePanel, list[NDArray[np.int64]], NDArray[np.int8]]:
    """(site panel, its bands, people) of linked genomes in three populations."""
    dosage = simulate_dosage(PANEL + people, sites, seed=sites)
    panel = simulate_panel(dosage[:PANEL])
    return panel, bands(panel, dosage[:PANEL]), dosage[PANEL:]


def recognised(
    panel: SitePanel, sites: list[NDArray[np.int64]], one: NDArray[np.int8], other: NDArray[np.int8]
) -> float:
    """Share of people with a mark in common between two readings."""
    pairs = zip(genotype_marks(panel, sites, one), genotype_marks(panel, sites, other), strict=True)
    return float(np.mean([bool(set(a) & set(b)) for a, b in pairs]))


@pytest.mark.parametrize(("sites", "missing", "least"), [(256, 0.0, 0.99), (1024, 0.0, 1.0), (1024, 0.02, 0.95)])
def test_two_readings_with_one_wrong_call_in_a_hundred_are_one_person(sites: int, missing: float, least: float) -> None:
    panel, chosen, people = setting(sites)
    assert len(chosen) == BANDS
    first, second = (read_again(people, seed, 0.01, missing) for seed in (1, 2))
    assert recognised(panel, chosen, first, second) >= least


def test_strangers_have_no_mark_in_common() -> None:
    panel, chosen, people = setting(1024)
    owners: dict[bytes, int] = {}
    for person, marks in enumerate(genotype_marks(panel, chosen, people)):
        assert len(set(marks)) == BANDS
        assert all(owners.setdefault(mark, person) == person for mark in marks)


def test_sites_that_tell_nobody_from_anybody_make_no_marks() -> None:
    panel, chosen, people = setting(24)
    assert chosen == []
    assert list(genotype_marks(panel, chosen, people[:3])) == [(), (), ()]


def test_marks_hold_over_one_panel_and_skip_missing_calls() -> None:
    panel, chosen, people = setting(512)
    nobody = np.full_like(people[:1], -1)
    assert list(genotype_marks(panel, chosen, nobody)) == [()]
    again = bands(panel, simulate_dosage(PANEL + 400, 512, seed=512)[:PANEL])
    assert all(np.array_equal(a, b) for a, b in zip(chosen, again, strict=True))
    other, other_chosen, _ = setting(511)
    same = people[:5, :511]
    ours, theirs = genotype_marks(panel, chosen, people[:5]), genotype_marks(other, other_chosen, same)
    assert all(not set(a) & set(b) for a, b in zip(ours, theirs, strict=True))
