"""Who is whose relative, or the same person twice: KING-robust kinship and concordance of calls.

Kinship is the between-family estimator of Manichaikul et al. 2010 (KING, eq. 11), which needs no allele frequencies:

    phi = (N_het,het - 2 N_opposite) / (2 N_least) + 1/2 - (N_het(i) + N_het(j)) / (4 N_least)

over sites that both have called; N_least is the smaller of the two counts of heterozygous sites. It is 1/2 for the
same person, 1/4 for parents and children, 0 or below for strangers. What chance does to it depends on how many
independent sites there are, which linkage makes far fewer than sites; so a threshold is applied only if it lies
further from strangers than chance reaches, as the pairs themselves show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.cluster import each
from afml.genomics.packed import PackedDosage
from afml.genomics.sites import SitePanel

#: Lower ends of KING's degrees: half way, in powers of two, to the degree below.
SAME, FIRST_DEGREE, SECOND_DEGREE = 0.354, 0.177, 0.0884
#: Calls that the same person's records share at least: each may be wrong at 1 % of the sites.
CONCORDANT = 0.95
_SITES = 1024
_COMMON = 0.05
_PEOPLE, _ROWS = 2048, 512  # a block of pairs, and of these, where everybody is looked at
_SAMPLE = 400  # people whose pairs show what chance does
_CHANCE = 5.0  # standard deviations
_FEW = 1 / 32  # of the pairs of a block: up to here it costs less to look at each by itself
_HALF = 0.75  # D / N_least of a pair, below which half of the sites show who is none
_ROUNDING = 1e-4  # of a kinship in float32, and more


class Pair(NamedTuple):
    """Two records that resemble each other more than strangers' do.

    Attributes:
        first: Row of the one.
        second: Row of the other.
        kinship: phi.
        same: Whether they are one person's, as far as genotypes tell (or those of identical twins).
    """

    first: int
    second: int
    kinship: float
    same: bool


class Resolution(NamedTuple):
    """What some sites can tell.

    Attributes:
        same: Whether they tell one person's records from strangers'.
        degree: Smallest kinship that they tell from chance: SECOND_DEGREE or FIRST_DEGREE; 1.0 for neither.
    """

    same: bool
    degree: float


class _Likeness(NamedTuple):
    """[people, others] each, or [pairs]."""

    kinship: NDArray[np.float32]
    concordance: NDArray[np.float32]

    @property
    def same(self) -> NDArray[np.bool_]:
        return (self.kinship >= SAME) & (self.concordance >= CONCORDANT)


def kinship_sites(panel: SitePanel) -> NDArray[np.int64]:
    """At most 1,024 sites that are common in the panel, evenly spread: more do not tell more in useful time."""
    common = np.flatnonzero(panel.maf >= _COMMON)
    sites = common if len(common) else np.arange(len(panel))
    return np.asarray(sites[np.linspace(0, len(sites) - 1, min(_SITES, len(sites))).astype(np.int64)])


def resolution(people: PackedDosage, panel: PackedDosage) -> Resolution:
    """What the sites can tell, from how alike strangers are: people and the panel, and people among each other.

    Args:
        people: Dosages at `kinship_sites`.
        panel: Of the public panel.
    """
    some, alike = people.dosage(slice(_SAMPLE)), []
    for others in (panel.dosage(slice(_SAMPLE)), some):
        found = _likeness(some, others)
        strangers = ~found.same
        if others is some:
            strangers &= ~np.eye(len(some), dtype=np.bool_)
        if strangers.any():
            alike.append((_reach(found.kinship[strangers]), _reach(found.concordance[strangers])))
    if not alike:
        return Resolution(False, 1.0)
    kinship, concordance = (max(values) for values in zip(*alike, strict=True))
    degree = next((d for d in (SECOND_DEGREE, FIRST_DEGREE) if kinship < d), 1.0)
    return Resolution(concordance < CONCORDANT, degree)


def related(people: PackedDosage, told: Resolution, others: PackedDosage | None = None) -> list[Pair]:
    """Pairs of people who are the same or relatives.

    Args:
        people: Dosages at `kinship_sites`.
        told: What the sites can tell; nothing else is looked for.
        others: Of other people; None for pairs among `people`.

    Returns:
        Pairs in ascending order; `first` is a row of `people`, `second` of `others`, or a later one of `people`.
    """
    if min(told.degree, SAME if told.same else 1.0) >= 1.0:
        return []
    right = people if others is None else others
    work = [
        partial(_block, people.part(first), right.part(second), (first.start, second.start), told, others is None)
        for first, second in _blocks(len(people), None if others is None else len(others))
    ]
    return sorted(chain.from_iterable(each(work)))


def _block(
    rows: PackedDosage, columns: PackedDosage, begin: tuple[int, int], told: Resolution, among: bool
) -> list[Pair]:
    """Pairs of one block, whose first rows are `begin`; `among` the same people, the one before the other."""
    a, b = rows.dosage(slice(None)), columns.dosage(slice(None))
    near = _near(a, b, min(told.degree, SAME if told.same else 1.0))
    if among and begin[0] == begin[1]:
        near = np.triu(near, 1)  # everybody resembles themselves
    pairs = []
    for some, others, found in _judged(a, b, near):
        same = found.same & told.same
        for pair in np.flatnonzero(same | (found.kinship >= told.degree)):
            one, other = begin[0] + int(some[pair]), begin[1] + int(others[pair])
            pairs.append(Pair(one, other, float(found.kinship[pair]), bool(same[pair])))
    return pairs


def _judged(
    a: NDArray[np.int8], b: NDArray[np.int8], near: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], _Likeness]]:
    """Rows, columns and likeness of the pairs that are near, [pairs] each: of many by the table, of few one by one."""
    if np.count_nonzero(near) > near.size * _FEW:
        for start in range(0, len(a), _ROWS):
            there = near[start : start + _ROWS]
            found, (some, others) = _likeness(a[start : start + _ROWS], b), np.nonzero(there)
            yield start + some, others, _Likeness(found.kinship[there], found.concordance[there])
        return
    rows, columns = np.nonzero(near)
    for start in range(0, len(rows), _PEOPLE):
        some, others = rows[start : start + _PEOPLE], columns[start : start + _PEOPLE]
        yield some, others, _likeness_of(a[some], b[others])


def _blocks(people: int, others: int | None) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of every block of pairs; of pairs among the people, those on and above the diagonal."""
    right = people if others is None else others
    for rows in range(0, people, _PEOPLE):
        for columns in range(rows if others is None else 0, right, _PEOPLE):
            yield slice(rows, rows + _PEOPLE), slice(columns, columns + _PEOPLE)


def _near(a: NDArray[np.int8], b: NDArray[np.int8], least: float) -> NDArray[np.bool_]:
    """Which pairs of a block may have a kinship of `least` or more, [people, others].

    phi is 1/2 - D / (4 N_least), D being the squared distance of the dosages at sites that both have called: a single
    product of matrices tells strangers, who are nearly everybody, from the few who are worth the other four. Strangers
    have D of about 2 N_least, and D over some of the sites is no more than D: where `least` is large, some suffice.
    """
    most = 2.0 - 4.0 * (least - _ROUNDING)  # D / N_least
    enough_a, enough_b = (most * (people == 1).sum(axis=1).astype(np.float32) for people in (a, b))
    if most >= _HALF:
        distance = _distance(a, b)
        return np.asarray((distance <= enough_a[:, None]) & (distance <= enough_b))
    distance = _distance(a[:, ::2], b[:, ::2])
    near: NDArray[np.bool_] = distance <= enough_a[:, None]
    if near.any():
        near &= distance <= enough_b
    rows, columns = np.nonzero(near)
    for start in range(0, len(rows), _PEOPLE):
        some, others = rows[start : start + _PEOPLE], columns[start : start + _PEOPLE]
        whole = distance[some, others] + _distance_of(a[some, 1::2], b[others, 1::2])
        near[some, others] = (whole <= enough_a[some]) & (whole <= enough_b[others])
    return near


def _distance(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.float32]:
    """Squared distance at sites that both have called, or less, [people, others].

    A missing call counts as 1, which is off by 1 at most: 1 is taken away for each. Whole numbers below 2^24: exact.
    """
    left, right = np.abs(a).astype(np.float32), np.abs(b).astype(np.float32)  # missing is -1
    own, other = (
        (np.square(filled).sum(axis=1) - (people < 0).sum(axis=1)).astype(np.float32)[:, None]
        for filled, people in ((left, a), (right, b))
    )
    left = np.concatenate([left, own, np.ones_like(own)], axis=1)
    right = np.concatenate([-2.0 * right, np.ones_like(other), other], axis=1)
    return np.asarray(left @ right.T)


def _distance_of(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int64]:
    """`_distance` of two people in each row, [pairs]."""
    distance = np.square(np.abs(a) - np.abs(b)).sum(axis=1, dtype=np.int64)
    return np.asarray(distance - (a < 0).sum(axis=1) - (b < 0).sum(axis=1))


def _likeness(a: NDArray[np.int8], b: NDArray[np.int8]) -> _Likeness:
    """Of everybody with everybody, [people, others]."""
    left, right = _indicators(a), _indicators(b)
    signed, homozygous, heterozygous = (x @ y.T for x, y in zip(left, right, strict=True))
    opposite, equal = (homozygous - signed) / 2, (homozygous + signed) / 2
    het_a, het_b = heterozygous + left[2] @ right[1].T, heterozygous + left[1] @ right[2].T
    both = homozygous + het_a + het_b - heterozygous
    return _of_counts(heterozygous, opposite, equal, (het_a, het_b), both)


def _likeness_of(a: NDArray[np.int8], b: NDArray[np.int8]) -> _Likeness:
    """Of two people in each row, [pairs]."""

    def count(true: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.asarray(np.count_nonzero(true, axis=1), dtype=np.float32)

    called = (a >= 0) & (b >= 0)
    het_a, het_b, alike = (a == 1) & called, (b == 1) & called, (a == b) & called
    heterozygous = count(het_a & het_b)
    opposite, equal = count(called & (np.abs(a - b) == 2)), count(alike) - heterozygous
    return _of_counts(heterozygous, opposite, equal, (count(het_a), count(het_b)), count(called))


def _of_counts(
    heterozygous: NDArray[np.float32],
    opposite: NDArray[np.float32],
    equal: NDArray[np.float32],
    het: tuple[NDArray[np.float32], NDArray[np.float32]],
    both: NDArray[np.float32],
) -> _Likeness:
    """Of numbers of sites: both heterozygous, opposite, homozygous alike, each one heterozygous, both called."""
    het_a, het_b = het
    fewest = np.minimum(het_a, het_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        kinship = (heterozygous - 2 * opposite) / (2 * fewest) + 0.5 - (het_a + het_b) / (4 * fewest)
        concordance = (heterozygous + equal) / both
    return _Likeness(np.where(fewest > 0, kinship, -1.0), np.where(both > 0, concordance, 0.0))


def _indicators(dosage: NDArray[np.int8]) -> tuple[NDArray[Any], ...]:
    """(-1, 0, 1 of the homozygous; who is homozygous; who is heterozygous), float32 [people, sites]; 0 if missing."""
    homozygous, heterozygous = (dosage == 0) | (dosage == 2), dosage == 1
    signed = np.where(homozygous, dosage - 1, 0)
    return signed.astype(np.float32), homozygous.astype(np.float32), heterozygous.astype(np.float32)


def _reach(values: NDArray[np.float32]) -> float:
    """How far chance reaches: _CHANCE standard deviations above the median, measured above it."""
    middle, above = np.quantile(values, (0.5, 0.8413))
    return float(middle + _CHANCE * (above - middle))
