"""Clumps beside the plain algorithm, and shadows of strong leads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from afml.tasks.gwas.clumps import GENOME_WIDE, LINKED, WINDOW, Places, clumped
from afml.tasks.gwas.pvalues import neg_log10_p, p_text


def places(sites: int, seed: int, *, people: int = 200, error: np.ndarray | None = None) -> Places:
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(people, -(-sites // 4))), 4, axis=1)[:, :sites]
    pos = np.sort(rng.choice(np.arange(1, 3_000_000), size=sites, replace=False))
    chrom = ["1"] * (sites // 2) + ["2"] * (sites - sites // 2)
    return Places(chrom, pos, shared + 0.8 * rng.normal(size=(people, sites)), error)


def slow(score: np.ndarray, where: Places, threshold: float) -> list[tuple[int, tuple[int, ...]]]:
    """PLINK's clumping, a pair of sites at a time."""
    free, found = set(range(len(score))), []
    p = 2 * stats.norm.sf(np.abs(score))
    for lead in sorted(free, key=lambda site: -abs(score[site])):
        if lead not in free or p[lead] > threshold:
            continue
        members = []
        for site in range(len(score)):
            near = where.chrom[site] == where.chrom[lead] and abs(where.pos[site] - where.pos[lead]) <= WINDOW
            a, b = where.genotypes[:, site], where.genotypes[:, lead]
            r = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            if site == lead or (near and r**2 >= LINKED):
                members.append(site)
        free -= set(members)
        found.append((lead, tuple(members)))
    return found


@given(st.integers(0, 300), st.integers(1, 24))
def test_plain_clumps_are_those_of_the_plain_algorithm(seed: int, sites: int) -> None:
    where, score = places(sites, seed), np.random.default_rng(seed).normal(size=sites) * 3
    found = clumped(score, where, threshold=0.05, conditional=False)
    assert [(clump.lead, clump.members) for clump in found] == slow(score, where, 0.05)
    assert clumped(score, where, threshold=0.05, most=1, conditional=False) == found[:1]


def test_a_strong_lead_has_no_clumps_in_its_shadow() -> None:
    rng = np.random.default_rng(3)
    people, shadow = 500, 0.2
    lead = rng.normal(size=people)
    genotypes = np.column_stack([lead, shadow * lead + rng.normal(size=people), rng.normal(size=people)])
    where = Places(["1"] * 3, np.array([1000, 2000, 3000]), genotypes)
    score = np.array([60.0, 60 * shadow, 9.0])
    assert [clump.lead for clump in clumped(score, where, conditional=False)] == [0, 1, 2]
    assert [clump.lead for clump in clumped(score, where)] == [0]  # 9 beside 60 with r known to 0.04 only
    score[2] = 25.0
    assert [clump.lead for clump in clumped(score, where)] == [0, 2]
    far = Places(["1"] * 3, np.array([1000, 2000, 3_000_000]), genotypes)
    assert [clump.lead for clump in clumped(np.array([60.0, 12.0, 9.0]), far)] == [0, 2]


def test_a_shadow_is_as_strong_as_its_own_error_lets_it_be() -> None:
    rng = np.random.default_rng(5)
    lead = rng.normal(size=500)
    genotypes = np.column_stack([lead, 0.25 * lead + rng.normal(size=500)])
    error = np.array([4.0, 1.0])  # the second site was looked at again
    where = Places(["1"] * 2, np.array([1000, 2000]), genotypes, error)
    r = where.correlation(0, slice(0, 2))[1]
    assert [clump.lead for clump in clumped(np.array([30.0, 30.0 * r * 4.0]), where)] == [0]


def test_without_people_in_the_panel_a_clump_is_its_window() -> None:
    where = Places(["1"] * 3, np.array([1, 900_000, 1_900_001]), np.zeros((0, 3)))
    assert [(c.lead, c.members) for c in clumped(np.array([9.0, 10.0, 8.0]), where)] == [(1, (0, 1)), (2, (2,))]


def test_nothing_significant_is_no_clump() -> None:
    assert clumped(np.array([5.4, -5.4]), places(2, 1)) == []
    assert len(clumped(np.array([5.46, 0.0]), places(2, 1))) == 1
    assert GENOME_WIDE == 5e-8


@pytest.mark.parametrize(
    ("score", "text"), [(0.0, "1.000e+00"), (5.451310, "5.000e-08"), (-1.959964, "5.000e-02"), (60.0, "2.475e-784")]
)
def test_p_values_are_written_however_small(score: float, text: str) -> None:
    assert p_text(float(neg_log10_p(np.array([score]))[0])) == text


@given(st.floats(0, 37))
def test_p_values_are_those_of_the_distribution(score: float) -> None:
    found = float(p_text(float(neg_log10_p(np.array([score]))[0])))
    assert found == pytest.approx(2 * stats.norm.sf(score), rel=2e-3)
