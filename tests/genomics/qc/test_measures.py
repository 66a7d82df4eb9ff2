"""Counts, Hardy-Weinberg and ancestry, each against a slow and obvious way."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.qc import counts as counting
from afml.genomics.qc import hwe
from afml.genomics.qc.ancestry import COMPONENTS, ancestry
from afml.genomics.qc.counts import count
from afml.genomics.store import GenotypeStore
from tests.simulated import simulate_dosage, write_vcf


def slow_hwe(people: int, one: int, two: int) -> float:
    """By counting all ways to pair the alleles: tables no likelier than this one."""
    copies = one + 2 * two

    def ways(hetero: int) -> Fraction:
        pairs = (copies - hetero) // 2
        return Fraction(comb(people, hetero) * comb(people - hetero, pairs) * 2**hetero)

    tables = [h for h in range(copies % 2, copies + 1, 2) if h + (copies - h) // 2 <= people]
    own = ways(one)
    return float(sum(ways(h) for h in tables if ways(h) <= own) / sum(ways(h) for h in tables))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_hardy_weinberg_is_that_of_counting_all_tables(drawn: tuple[int, int, int]) -> None:
    people, one, two = drawn
    if one + two > people:
        two = people - one
    found = hwe.hwe_p(*(np.array([number]) for number in (people, one, two)))
    assert found[0] == pytest.approx(slow_hwe(people, one, two), rel=1e-9)


def test_many_people_are_tested_by_an_approximation_that_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [np.array([9000, 9000]), np.array([4000, 4200]), np.array([2000, 2000])]
    exact = hwe.hwe_p(*numbers)
    monkeypatch.setattr(hwe, "EXACT_PEOPLE", 10)
    assert np.allclose(np.log10(hwe.hwe_p(*numbers)), np.log10(exact), rtol=0.03)


def stores(root: Path, missing: float = 0.1) -> tuple[GenotypeStore, GenotypeStore]:
    """(an institution's, the public panel's)."""
    dosage = simulate_dosage(90, 120, seed=5)
    own = np.where(np.random.default_rng(1).random((30, 120)) < missing, -1, dosage[60:]).astype(np.int8)
    write_vcf(root / "panel.vcf.gz", dosage[:60])
    write_vcf(root / "own.vcf.gz", own, samples=[f"N{i}" for i in range(30)])
    panel = build_site_panel(root / "panel.vcf.gz", SiteChoice(100))
    return build_store(root / "own.vcf.gz", panel, root / "own"), build_store(
        root / "panel.vcf.gz", panel, root / "panel"
    )


def test_counts_are_those_of_single_genotypes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = stores(tmp_path)
    monkeypatch.setattr(counting, "_VALUES_AT_ONCE", 700)
    found, dosage = count(store), store.dosage()
    for site in range(len(store.panel)):
        column = dosage[:, site].tolist()
        assert (found.sites.called[site], found.sites.one[site], found.sites.two[site]) == (
            30 - column.count(-1),
            column.count(1),
            column.count(2),
        )
    for person in range(30):
        row = dosage[person]
        p = store.panel.maf[row >= 0]
        assert found.people.called[person] == (row >= 0).sum()
        assert found.people.one[person] == (row == 1).sum()
        assert found.people.expected[person] == pytest.approx((2 * p * (1 - p)).sum(), rel=1e-5)
    assert found.people.sites == len(store.panel)


def test_ancestry_is_projection_onto_the_panels_own_components(tmp_path: Path) -> None:
    store, public = stores(tmp_path, missing=0.0)
    found = ancestry(store, public)
    assert found is not None
    own = public.dosage().astype(float)
    mean = own.mean(axis=0)
    scale = np.sqrt(mean * (1 - mean / 2))
    standard = (own - mean) / scale
    values, vectors = np.linalg.eigh(standard.T @ standard)
    for component in range(COMPONENTS):
        along = standard @ vectors[:, -1 - component]
        there = (store.dosage() - mean) / scale @ vectors[:, -1 - component]
        sign = np.sign(along @ found.panel[:, component])
        assert np.allclose(sign * along / along.std(), found.panel[:, component], atol=1e-6)
        assert np.allclose(sign * there / along.std(), found.people[:, component], atol=1e-6)
        assert found.explained[component] == pytest.approx(values[-1 - component] / values.sum())
    assert found.far == 0
