"""Static and random masks with every pattern merged or masked until enough people of each file share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.attacks.scoring import IN_CHILDREN_FROM, alone
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level, as_level
from afml.evaluation.baselines.masked import KEEP_RATES, ranked_sites, site_counts
from afml.evaluation.masks import mask_rare, merge_prefixes, random_mask, rates_with_groups, static_mask

GROUPED_STATIC = "static top sites, grouped"
GROUPED_RANDOM = "random masking, grouped"
AT_ONCE = 2
"""Levels made side by side: each holds masked records of everybody."""


Merge = Callable[[Int8, int], Int8]
"""Merges or masks the records of one file until so many share each pattern."""


@dataclass(frozen=True, eq=False)
class Way:
    """How the records of a level are made.

    Attributes:
        label: Of the level.
        mask: Of single records.
        merge: How a file of masked records is merged.
        nothing: Whether it is known that no record shows anything then.
    """

    label: str
    mask: ReleaseFunction
    merge: Merge
    nothing: bool = False


def grouped_levels(comparands: Comparands, ways: Sequence[Way]) -> tuple[Level, ...]:
    """Levels whose files are merged into groups of the release's minimum size.

    The attacker knows how records are merged and merges the references (and the panel) as one file, at the
    same share of its people.
    """
    share = comparands.min_group_size * len(comparands.files) / len(comparands.people)

    def level(way: Way, released: Int8) -> Level:
        return as_level(
            comparands,
            way.label,
            released,
            lambda dosage: way.merge(way.mask(dosage), max(1, round(share * len(dosage)))),
        )

    work = [partial(_released, comparands, way) for way in ways]
    # Every file is merged whole, however few of its people are then looked at.
    here = in_child() or comparands.people.size < IN_CHILDREN_FROM
    made = [one() for one in work] if here else alone(work, min(usable_processors(), AT_ONCE))
    return tuple(level(way, released) for way, released in zip(ways, made, strict=True))


def _released(comparands: Comparands, way: Way) -> Int8:
    """Records of `comparands.dosage`, int8[n, S]."""
    if way.nothing:
        return np.full_like(comparands.dosage, comparands.masked_value)
    released = way.mask(comparands.people)
    for file in np.split(released, np.cumsum(comparands.files)[:-1]):
        file[:] = way.merge(file, comparands.min_group_size)
    return released[comparands.rows]


def grouped_families(comparands: Comparands, weights: Float64) -> tuple[Callable[[], Family], ...]:
    """What makes static top sites and random masks in groups of the release's size; none where no grouping was asked
    for."""
    if comparands.min_group_size <= 1 or not comparands.files:
        return ()
    return partial(_static, comparands, weights), partial(_random, comparands)


def _static(comparands: Comparands, weights: Float64) -> Family:
    value, order = comparands.masked_value, ranked_sites(comparands.panel, weights)

    def way(count: int) -> Way:
        sites = order[:count]

        def merge(file: Int8, size: int) -> Int8:
            return merge_prefixes(file, sites, size, value)

        return Way(f"{count} sites", static_mask(sites, value), merge)

    counts = site_counts(weights, len(order))
    return Family(GROUPED_STATIC, grouped_levels(comparands, [way(count) for count in counts]))


def _random(comparands: Comparands) -> Family:
    value, seed = comparands.masked_value, (comparands.seed, 1, 0)
    size, files = comparands.min_group_size, comparands.files
    shown = rates_with_groups(comparands.people, files, size, KEEP_RATES, value, *seed)
    ways = [
        Way(f"keep {rate:.3g}", random_mask(rate, value, *seed), partial(mask_rare, value=value), rate not in shown)
        for rate in KEEP_RATES
    ]
    return Family(GROUPED_RANDOM, grouped_levels(comparands, ways))
