"""Counting genotypes: of every site and of every person, in one pass over a store."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.cluster import each
from afml.genomics.contigs import genome_order
from afml.genomics.store import GenotypeStore, people_at_once

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_AUTOSOMES = 22
_VALUES_AT_ONCE = 1 << 22


class SiteCounts(NamedTuple):
    """Of every site, [S].

    Attributes:
        called: People with a call.
        one: People with one copy of the counted allele.
        two: People with two copies.
    """

    called: Ints
    one: Ints
    two: Ints

    @property
    def frequency(self) -> Floats:
        """Frequency of the counted allele, NaN where nobody has a call."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.one + 2 * self.two) / (2 * self.called))


class PeopleCounts(NamedTuple):
    """Of every person, [people].

    Attributes:
        called: Sites with a call, those of Y and absent ones apart: there a call is missing for good reason.
        sites: How many sites that is out of, the same for everybody.
        one: Autosomal sites with one copy of either allele.
        expected: How many those would be in Hardy-Weinberg proportions at the panel's frequencies, among the called.
        autosomal: Autosomal sites with a call.
    """

    called: Ints
    sites: int
    one: Ints
    expected: Floats
    autosomal: Ints

    @property
    def call_rate(self) -> Floats:
        """Share of the sites with a call; 1 where there is no site to count."""
        return np.asarray(self.called / self.sites if self.sites else np.ones(len(self.called)))

    @property
    def inbreeding(self) -> Floats:
        """F = 1 - observed / expected heterozygous sites (as PLINK's --het); NaN where none are expected."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.expected > 0, 1 - self.one / self.expected, np.nan)


class Counts(NamedTuple):
    """What one pass over a store counts."""

    sites: SiteCounts
    people: PeopleCounts


def autosomal(store: GenotypeStore) -> NDArray[np.bool_]:
    """Which sites lie on autosomes, [S]."""
    order = {name: genome_order(name)[0] for name in set(store.panel.chrom)}
    return np.array([order[name] <= _AUTOSOMES for name in store.panel.chrom], dtype=np.bool_)


def count(store: GenotypeStore) -> Counts:
    """Count the genotypes of a store, some people at a time.

    Args:
        store: Of an institution, or of the public panel.
    """
    sites, panel = len(store.panel), store.panel
    called, one, two = (np.zeros(sites, dtype=np.int64) for _ in range(3))
    there = ~store.absent
    counted = there & np.array([name != "Y" for name in panel.chrom], dtype=np.bool_)
    autosomes = there & autosomal(store)
    expected = 2 * panel.maf * (1 - panel.maf) * autosomes
    weights = np.stack([counted, autosomes, expected], axis=1).astype(np.float32)  # exact: fewer than 2^24 sites
    sums: list[NDArray[np.float32]] = []
    for of_sites, of_people in each([partial(_count, store, rows, weights) for rows in people_at_once(store)]):
        called += of_sites.called
        one += of_sites.one
        two += of_sites.two
        sums.append(of_people)
    calls, on_autosomes, expectations, hetero_calls = np.concatenate(sums).T
    people = PeopleCounts(
        calls.astype(np.int64), int(counted.sum()), hetero_calls.astype(np.int64), expectations.astype(np.float64),
        on_autosomes.astype(np.int64),
    )  # fmt: skip
    return Counts(SiteCounts(called, one, two), people)


def _count(store: GenotypeStore, rows: slice, weights: NDArray[np.float32]) -> tuple[SiteCounts, NDArray[np.float32]]:
    """(Of every site, of every person) of some rows; weights [S, 3] and sums [people, 4] as `count` has them."""
    dosage = store.dosage(rows)  # [people, S]
    sites = SiteCounts(*(np.zeros(dosage.shape[1], dtype=np.int64) for _ in range(3)))
    sums, step = [], max(1, _VALUES_AT_ONCE // max(1, dosage.shape[1]))
    for start in range(0, len(dosage), step):
        some = dosage[start : start + step]
        has_call, hetero = some >= 0, some == 1
        sums.append(np.concatenate([has_call @ weights, hetero @ weights[:, 1:2]], axis=1))
        for count_of, true in zip(sites, (has_call, hetero, some == 2), strict=True):
            count_of += true.sum(axis=0)
    return sites, np.concatenate(sums)
