"""What only all records together can decide: whose sex is which, which A/T and C/G sites are on the other strand, and
where reference records alone speak of a site whose own record failed FILTER.

Runs once over the stored calls, block by block, and touches those on X and Y and at palindromic sites alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.genomics.calls import tally as told
from afml.genomics.calls.ploidy import Ploidy, ploidies
from afml.genomics.calls.sexes import OnX, Sex, inferred_sexes
from afml.genomics.calls.states import State
from afml.genomics.calls.tally import Tally
from afml.genomics.sites import SitePanel

OTHER_STRAND_ODDS = 1000.0
"""How many times likelier the other strand must make a palindromic site's calls before it is left out; and its own
strand, before it is taken, where other sites of the file are on the other one."""
PANEL_ALLELES = 1000
"""Alleles that the panel's frequency counts as read from. A panel's people are a draw and a cohort is a little apart
from them: near one half the frequency of however many people says nothing of the strand. (The model of Balding, Nichols
1995 with F_ST = 0.001, as between neighbouring populations.)"""
MIXED = 0.01
"""Share of flipped sites, of all that have calls, from which on a file's strands count as mixed."""
LEAST_ALLELES = 20
"""Alleles that must be called for that: fewer people tell nothing of a frequency."""

_SURE = math.log(OTHER_STRAND_ODDS)

UNLINKED = 1_000_000
"""Bases between sites on X of which each tells something of its own about a person's sex."""

_BYTES = 32 << 20
_PALINDROMES = {("A", "T"), ("T", "A"), ("C", "G"), ("G", "C")}

Rows = Callable[[NDArray[np.int64]], NDArray[np.int8]]
"""Sites -> their calls, int8 [sites, people, 2]."""
Put = Callable[[NDArray[np.int64], NDArray[np.int8]], None]
"""Replaces the calls of some sites."""


class SexCounts(Settings):
    """Who is what, in numbers.

    Attributes:
        male, female, unknown: People, by the table and else by their calls.
        declared: People whose sex the phenotype table says.
        inferred: People whose calls say it.
        disagree: People of whom the two say different things.
        sites_on_x: Sites on X outside the pseudoautosomal regions that have calls.
    """

    male: int = 0
    female: int = 0
    unknown: int = 0
    declared: int = 0
    inferred: int = 0
    disagree: int = 0
    sites_on_x: int = 0


class Settled(NamedTuple):
    """What was decided.

    Attributes:
        sexes: uint8 [people], values of `Sex`.
        disagree: bool [people], whose table and calls say different things.
        on_x: What the calls on X are.
        counts: The same in numbers.
    """

    sexes: NDArray[np.uint8]
    disagree: NDArray[np.bool_]
    on_x: OnX
    counts: SexCounts


def settle(
    panel: SitePanel, tally: Tally, build: str | None, declared: NDArray[np.uint8] | None, rows: Rows, put: Put
) -> Settled:
    """Decide, and correct the stored calls accordingly.

    Args:
        panel: The site panel.
        tally: Of everything that was read; what is decided is added.
        build: Of the genome, where it is known.
        declared: What the phenotype table says, uint8 [people]; None where it says nothing.
        rows: Gives stored calls.
        put: Takes corrected ones.
    """
    ploidy = ploidies(build, panel.chrom, panel.pos)
    _beside_failed(tally, rows, put)
    _palindromes(panel, tally, ploidy, rows, put)
    settled = _sexes(panel, tally, ploidy, declared, rows)
    _correct(tally, ploidy, settled, rows, put)
    return settled


def _blocks(sites: NDArray[np.int64], people: int) -> Iterator[NDArray[np.int64]]:
    step = max(1, _BYTES // max(1, 2 * people))
    for start in range(0, len(sites), step):
        yield sites[start : start + step]


def _beside_failed(tally: Tally, rows: Rows, put: Put) -> None:
    """Leave out the sites of which a block says reference while a record of their ALT failed FILTER.

    Its caller saw the ALT there, and does not believe it: that nobody has it is not known.
    """
    covered = (tally.states == State.COVERED) | (tally.states == State.COVERED_FAILED)
    for sites in _blocks(np.flatnonzero(covered & tally.failed), len(tally.hemizygous)):
        tally.states[sites] = State.BESIDE_FAILED
        put(sites, np.full_like(rows(sites), -1))


def _palindromes(panel: SitePanel, tally: Tally, ploidy: NDArray[np.uint8], rows: Rows, put: Put) -> None:
    """Leave out the sites whose frequency fits the panel's better the other way round; in a file of mixed strands, all
    whose frequency does not say that they are on the panel's."""
    mixed = int(tally.flipped.sum()) > MIXED * int(tally.called.sum())
    pair = np.array([one in _PALINDROMES for one in zip(panel.ref, panel.alt, strict=True)], dtype=np.bool_)
    in_panel = np.where(panel.minor_is_alt, panel.maf, 1 - panel.maf)
    for sites in _blocks(np.flatnonzero(pair & tally.called & (ploidy != Ploidy.Y)), len(tally.hemizygous)):
        calls = rows(sites)
        there = calls[:, :, 0] >= 0
        alleles = 2 * np.count_nonzero(there, axis=1)
        copies = ((calls[:, :, 0] + calls[:, :, 1]) * there).sum(axis=1, dtype=np.int64)
        numbers = zip(copies.tolist(), alleles.tolist(), in_panel[sites].tolist(), strict=True)
        gone = []
        for row, one in enumerate(numbers):
            odds = _other_strand(*one)
            if odds > _SURE or (mixed and odds >= -_SURE):
                tally.states[sites[row]] = State.STRAND_BY_FREQUENCY if odds > _SURE else State.STRAND_UNKNOWN
                gone.append(row)
        if gone:
            put(sites[gone], np.full_like(calls[gone], -1))


def _other_strand(copies: int, alleles: int, frequency: float) -> float:
    """Log of how many times likelier so many copies of ALT are on the other strand; 0 of too few alleles.

    Beta-binomial, about the panel's frequency there and 1 - that here.
    """
    if alleles < LEAST_ALLELES:
        return 0.0
    share = min(max(frequency, 1e-4), 1 - 1e-4)
    alt, ref = PANEL_ALLELES * share, PANEL_ALLELES * (1 - share)
    others = alleles - copies
    turned = math.lgamma(copies + ref) + math.lgamma(others + alt)
    return turned - math.lgamma(copies + alt) - math.lgamma(others + ref)


def _sexes(
    panel: SitePanel, tally: Tally, ploidy: NDArray[np.uint8], declared: NDArray[np.uint8] | None, rows: Rows
) -> Settled:
    people = len(tally.hemizygous)
    called, heterozygous, stated = (np.zeros(people, dtype=np.int64) for _ in range(3))
    expected = np.zeros(people)
    on_x = np.flatnonzero((ploidy == Ploidy.X) & tally.called)
    for sites in _blocks(on_x, people):
        stated += (rows(sites)[:, :, 0] >= 0).sum(axis=0)
    for sites in _blocks(_apart(panel, on_x), people):
        calls = rows(sites)
        there = calls[:, :, 0] >= 0
        called += there.sum(axis=0)
        heterozygous += (calls[:, :, 0] != calls[:, :, 1]).sum(axis=0)
        expected += (2 * panel.maf[sites] * (1 - panel.maf[sites])) @ there
    found = OnX(stated, called, heterozygous, expected, tally.hemizygous)
    inferred = inferred_sexes(found)
    said = np.zeros(people, dtype=np.uint8) if declared is None else declared
    disagree = (said > 0) & (inferred > 0) & (said != inferred)
    disagree |= (said == Sex.FEMALE) & (tally.hemizygous > 0)
    sexes = np.where(said > 0, said, inferred).astype(np.uint8)
    counts = SexCounts(
        male=int((sexes == Sex.MALE).sum()), female=int((sexes == Sex.FEMALE).sum()),
        unknown=int((sexes == Sex.UNKNOWN).sum()), declared=int((said > 0).sum()), inferred=int((inferred > 0).sum()),
        disagree=int(disagree.sum()), sites_on_x=len(on_x),
    )  # fmt: skip
    return Settled(sexes, disagree, found, counts)


def _apart(panel: SitePanel, sites: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sites of one contig so far apart that what is heterozygous at one says little of the next."""
    kept: list[int] = []
    for site in sites[np.argsort(panel.pos[sites], kind="stable")].tolist():
        if not kept or panel.pos[site] - panel.pos[kept[-1]] >= UNLINKED:
            kept.append(site)
    return np.array(sorted(kept), dtype=np.int64)


def _correct(tally: Tally, ploidy: NDArray[np.uint8], settled: Settled, rows: Rows, put: Put) -> None:
    """Make missing what somebody of that sex cannot have, and everything on X and Y of people of unsure sex."""
    counts, people = tally.counts, len(settled.sexes)
    male, female = settled.sexes == Sex.MALE, settled.sexes == Sex.FEMALE
    single = (ploidy == Ploidy.X) | (ploidy == Ploidy.Y)
    for sites in _blocks(np.flatnonzero(single & tally.called), people):
        calls = rows(sites)
        there: Any = calls[:, :, 0] >= 0  # [sites, people]
        on_y = (ploidy[sites] == Ploidy.Y)[:, None]
        two = there & (calls[:, :, 0] != calls[:, :, 1]) & (male | on_y)
        unsure = there & settled.disagree
        absent = there & on_y & female & ~settled.disagree
        two &= ~unsure & ~absent
        counts[told.MALE_HET] += int(two.sum())
        counts[told.FEMALE_Y] += int(absent.sum())
        counts[told.OF_UNSURE_SEX] += int(unsure.sum())
        wrong = two | unsure | absent
        touched = wrong.any(axis=1)
        if touched.any():
            calls[wrong] = -1
            put(sites[touched], calls[touched])
