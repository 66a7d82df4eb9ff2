"""Static and random masks with every pattern merged or masked until enough people of each file share it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level, as_level
from afml.evaluation.baselines.masked import KEEP_RATES, ranked_sites, site_counts
from afml.evaluation.masks import mask_rare, merge_prefixes, random_mask, static_mask

GROUPED_STATIC = "static top sites, grouped"
GROUPED_RANDOM = "random masking, grouped"


def grouped_level(
    comparands: Comparands, level: str, mask: ReleaseFunction, merge: Callable[[Int8, int], Int8]
) -> Level:
    """A level whose files are merged into groups of the release's minimum size.

    The attacker knows how records are merged and merges the references (and the panel) as one file, at the
    same share of its people.
    """
    k, share = comparands.min_group_size, comparands.min_group_size * len(comparands.files) / len(comparands.people)
    released = mask(comparands.people)
    for file in np.split(released, np.cumsum(comparands.files)[:-1]):
        file[:] = merge(file, k)
    released = released[comparands.rows]
    return as_level(comparands, level, released, lambda dosage: merge(mask(dosage), max(1, round(share * len(dosage)))))


def grouped_families(comparands: Comparands, weights: Float64) -> tuple[Family, ...]:
    """Static top sites and random masks in groups of the release's size; none where no grouping was asked for."""
    if comparands.min_group_size <= 1 or not comparands.files:
        return ()
    value, order = comparands.masked_value, ranked_sites(comparands.panel, weights)

    def static(count: int) -> Level:
        sites = order[:count]
        return grouped_level(
            comparands,
            f"{count} sites",
            static_mask(sites, value),
            lambda file, size: merge_prefixes(file, sites, size, value),
        )

    def random(rate: float) -> Level:
        mask = random_mask(rate, value, comparands.seed, 1, 0)
        return grouped_level(comparands, f"keep {rate:.3g}", mask, lambda file, size: mask_rare(file, size, value))

    return (
        Family(GROUPED_STATIC, tuple(static(count) for count in site_counts(weights, len(order)))),
        Family(GROUPED_RANDOM, tuple(random(rate) for rate in KEEP_RATES)),
    )
