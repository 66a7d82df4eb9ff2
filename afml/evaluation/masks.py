"""Masks and groupings that the baselines are made of: plain functions of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Int8, row_blocks
from afml.evaluation.distinct import distinct, hashes, largest_group


def random_mask(rate: float, value: int, *seed: int) -> ReleaseFunction:
    """Keep each genotype of each person with probability `rate`; the others show `value`."""

    def mask(dosage: Int8) -> Int8:
        rng = np.random.default_rng([*seed, len(dosage)])
        released = np.full_like(dosage, value)
        for part in row_blocks(dosage):
            np.copyto(released[part], dosage[part], where=rng.random(dosage[part].shape) < rate)
        return released

    return mask


def rates_with_groups(
    dosage: Int8, files: Sequence[int], size: int, rates: Sequence[float], value: int, *seed: int
) -> set[float]:
    """Rates at which `random_mask` of these genotypes leaves some file `size` people who show the same, and something.

    At all others `mask_rare` leaves nothing. Random numbers are drawn once for all rates, and of records only hashes
    are kept; two records of one hash can name a rate in vain.

    Args:
        dosage: int8[n, S], people of all files.
        files: People of each, in the order of rows.
        size: Least size of a group.
        rates: Of keeping a genotype.
        value: What a masked site shows.
        seed: Of the masks.
    """
    rng = np.random.default_rng([*seed, len(dosage)])
    found = np.empty((len(rates), len(dosage)), dtype=np.uint64)
    for part in row_blocks(dosage):
        draws = rng.random(dosage[part].shape)
        for one, rate in zip(found, rates, strict=True):
            one[part] = hashes(np.where(draws < rate, dosage[part], np.int8(value)))
    nothing = hashes(np.full((1, dosage.shape[1]), value, dtype=np.int8))

    def grouped(file: NDArray[np.uint64]) -> bool:
        _, counts = np.unique(file[file != nothing], return_counts=True)
        return bool((counts >= size).any())

    ends = np.cumsum(files)[:-1]
    return {rate for one, rate in zip(found, rates, strict=True) if any(map(grouped, np.split(one, ends)))}


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
        reported = dosage.copy()
        for part in row_blocks(dosage):
            true = dosage[part]
            lie = rng.random(true.shape) >= np.exp(epsilon) / (np.exp(epsilon) + 2)
            other = (true + rng.integers(1, 3, size=true.shape, dtype=np.int8)) % 3
            np.copyto(reported[part], other, where=lie & (true >= 0))
        return reported

    return mask


def mask_rare(records: Int8, size: int, value: int) -> Int8:
    """Mask whole records until every pattern of one file is shared by at least `size` of its records.

    Where too few people show nothing, the smallest group joins them. A file of fewer than `size` people shows
    nothing at all.
    """
    if largest_group(records) < size:  # each of them would be masked in the first turn
        return np.full_like(records, value)
    out = records.copy()
    while True:
        patterns, group = distinct(out)
        counts = np.bincount(group, minlength=len(patterns))
        empty = (patterns == value).all(axis=1)
        small = (counts < size) & ~empty
        if not small.any():
            if not (empty & (counts < size)).any() or empty.all():
                return out
            small = ~empty & (counts == counts[~empty].min())
        out[small[group]] = value


def merge_prefixes(records: Int8, sites: NDArray[np.int64], size: int, value: int) -> Int8:
    """Group one file of static records: each shows the longest prefix of `sites` that `size` people share.

    The k-anonymity of a prefix tree: whoever shares too rare a pattern gives up the last, least useful site.
    """
    shown = records[:, sites]
    kept = np.full_like(shown, value)
    prefixes = _prefixes(shown, size)
    left = np.arange(len(records))
    for depth in range(len(prefixes), 0, -1):
        group = prefixes[depth - 1][left]
        large = np.bincount(group)[group] >= size
        kept[left[large], :depth] = shown[left[large], :depth]
        left = left[~large]
        if not len(left):
            break
    out = np.full_like(records, value)
    out[:, sites] = mask_rare(kept, size, value)  # all other sites show the same of everybody
    return out


def _prefixes(shown: Int8, size: int) -> list[NDArray[np.int64]]:
    """For every depth, which prefix each record shows; no deeper than some prefix is shared by `size` records."""
    found: list[NDArray[np.int64]] = []
    prefix = np.zeros(len(shown), dtype=np.int64)
    for column in shown.T:
        _, number = np.unique(prefix * 4 + column + 1, return_inverse=True)
        prefix = number.reshape(-1).astype(np.int64)
        if not len(prefix) or np.bincount(prefix).max() < size:
            break
        found.append(prefix)
    return found
