"""Static and random masks with every pattern merged or masked until enough people of each file share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.attacks.scoring import IN_CHILDREN_FROM, alone
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level, as_level
from afml.evaluation.baselines.masked import KEEP_RATES, ranked_sites, site_counts
from afml.evaluation.masks import mask_rare, merge_prefixes, random_mask, static_mask

GROUPED_STATIC = "static top sites, grouped"
GROUPED_RANDOM = "random masking, grouped"
AT_ONCE = 2
"""Levels made side by side: each holds masked records of everybody."""


Merge = Callable[[Int8, int], Int8]
"""Merges or masks the records of one file until so many share each pattern."""


def grouped_levels(comparands: Comparands, ways: Sequence[tuple[str, ReleaseFunction, Merge]]) -> tuple[Level, ...]:
    """Levels whose files are merged into groups of the release's minimum size.

    The attacker knows how records are merged and merges the references (and the panel) as one file, at the
    same share of its people.

    Args:
        comparands: The people.
        ways: (label, mask, how a file of masked records is merged) of each level.
    """
    share = comparands.min_group_size * len(comparands.files) / len(comparands.people)

    def level(label: str, mask: ReleaseFunction, merge: Merge, released: Int8) -> Level:
        return as_level(
            comparands, label, released, lambda dosage: merge(mask(dosage), max(1, round(share * len(dosage))))
        )

    work = [partial(_released, comparands, mask, merge) for _, mask, merge in ways]
    # Every file is merged whole, however few of its people are then looked at.
    here = in_child() or comparands.people.size < IN_CHILDREN_FROM
    made = [one() for one in work] if here else alone(work, min(usable_processors(), AT_ONCE))
    return tuple(level(*way, released) for way, released in zip(ways, made, strict=True))


def _released(comparands: Comparands, mask: ReleaseFunction, merge: Merge) -> Int8:
    """Records of `comparands.dosage`, int8[n, S]."""
    released = mask(comparands.people)
    for file in np.split(released, np.cumsum(comparands.files)[:-1]):
        file[:] = merge(file, comparands.min_group_size)
    return released[comparands.rows]


def grouped_families(comparands: Comparands, weights: Float64) -> tuple[Callable[[], Family], ...]:
    """What makes static top sites and random masks in groups of the release's size; none where no grouping was asked
    for."""
    if comparands.min_group_size <= 1 or not comparands.files:
        return ()
    value, order = comparands.masked_value, ranked_sites(comparands.panel, weights)

    def static(count: int) -> tuple[str, ReleaseFunction, Merge]:
        sites = order[:count]
        return f"{count} sites", static_mask(sites, value), lambda file, size: merge_prefixes(file, sites, size, value)

    def random(rate: float) -> tuple[str, ReleaseFunction, Merge]:
        mask = random_mask(rate, value, comparands.seed, 1, 0)
        return f"keep {rate:.3g}", mask, lambda file, size: mask_rare(file, size, value)

    counts = site_counts(weights, len(order))
    return (
        partial(_family, comparands, GROUPED_STATIC, [static(count) for count in counts]),
        partial(_family, comparands, GROUPED_RANDOM, [random(rate) for rate in KEEP_RATES]),
    )


def _family(comparands: Comparands, name: str, ways: Sequence[tuple[str, ReleaseFunction, Merge]]) -> Family:
    return Family(name, grouped_levels(comparands, ways))
