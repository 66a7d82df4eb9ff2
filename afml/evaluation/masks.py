"""Masks and groupings that the baselines are made of: plain functions of records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Int8


def random_mask(rate: float, value: int, *seed: int) -> ReleaseFunction:
    """Keep each genotype of each person with probability `rate`; the others show `value`."""

    def mask(dosage: Int8) -> Int8:
        rng = np.random.default_rng([*seed, len(dosage)])
        return np.where(rng.random(dosage.shape) < rate, dosage, value).astype(np.int8)

    return mask


def static_mask(sites: NDArray[np.int64], value: int) -> ReleaseFunction:
    """Keep the same sites of everybody; the others show `value`."""

    def mask(dosage: Int8) -> Int8:
        released = np.full_like(dosage, value)
        released[:, sites] = dosage[:, sites]
        return released

    return mask


def sensitive_mask(sites: NDArray[np.int64], value: int) -> ReleaseFunction:
    """Hide a list of known sensitive sites (from a BED or VCF, say) of everybody and release all others."""

    def mask(dosage: Int8) -> Int8:
        released = dosage.copy()
        released[:, sites] = value
        return released

    return mask


def randomised_response(epsilon: float, *seed: int) -> ReleaseFunction:
    """Report each genotype truly with probability e^eps / (e^eps + 2), else one of the two others (Warner 1965).

    epsilon-DP for one genotype; a record of S genotypes is S * epsilon-DP. Missing calls stay missing.
    """

    def mask(dosage: Int8) -> Int8:
        rng = np.random.default_rng([*seed, len(dosage)])
        lie = rng.random(dosage.shape) >= np.exp(epsilon) / (np.exp(epsilon) + 2)
        other = (dosage + rng.integers(1, 3, size=dosage.shape, dtype=np.int8)) % 3
        return np.where(lie & (dosage >= 0), other, dosage).astype(np.int8)

    return mask


def mask_rare(records: Int8, size: int, value: int) -> Int8:
    """Mask whole records until every pattern of one file is shared by at least `size` of its records.

    Where too few people show nothing, the smallest group joins them. A file of fewer than `size` people shows
    nothing at all.
    """
    out = records.copy()
    while True:
        patterns, group, counts = np.unique(out, axis=0, return_inverse=True, return_counts=True)
        empty = (patterns == value).all(axis=1)
        small = (counts < size) & ~empty
        if not small.any():
            if not (empty & (counts < size)).any() or empty.all():
                return out
            small = ~empty & (counts == counts[~empty].min())
        out[small[group.reshape(-1)]] = value


def merge_prefixes(records: Int8, sites: NDArray[np.int64], size: int, value: int) -> Int8:
    """Group one file of static records: each shows the longest prefix of `sites` that `size` people share.

    The k-anonymity of a prefix tree: whoever shares too rare a pattern gives up the last, least useful site.
    """
    out = np.full_like(records, value)
    left = np.arange(len(records))
    for depth in range(len(sites), 0, -1):
        shown = records[np.ix_(left, sites[:depth])]
        _, group, counts = np.unique(shown, axis=0, return_inverse=True, return_counts=True)
        large = counts[group.reshape(-1)] >= size
        out[np.ix_(left[large], sites[:depth])] = shown[large]
        left = left[~large]
        if not len(left):
            break
    return mask_rare(out, size, value)
