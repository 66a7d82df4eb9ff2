"""From noised sums to frequencies of alleles and genotypes, with their errors and what the public panel adds.

Only additions, multiplications, divisions and square roots of single numbers, and sums that are rounded once: every
node comes to the same bits. Two errors stand beside a figure: `noise` is against the exact figure of these people,
`error` counts these people as a sample, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sites import SitePanel
from afml.tasks.release.blocks import Estimate
from afml.tasks.statistics.sites import ALLELES, GENOTYPES, NO_CALL

Arrays = dict[str, NDArray[np.float64]]
_SURE = 3.0  # standard errors from which on the missing calls of one site are believed


def site_arrays(estimates: Mapping[str, Estimate], people: int, panel: SitePanel, panel_people: int) -> Arrays:
    """Arrays [S] by name.

    frequency, frequency_noise, frequency_error     of the counted allele
    combined, combined_noise                        the same, and the panel, by inverse variance
    heterozygous, homozygous and their _noise       shares of people with one and with two of it
    disequilibrium, disequilibrium_noise, _error    share of homozygotes less the squared frequency: 0 in equilibrium
    missing, missing_noise                          share of people without a call

    Args:
        estimates: Of the blocks that were released.
        people: Whose sums they are.
        panel: The sites.
        panel_people: Of the public panel; 0 where it is known by frequencies alone.
    """
    arrays: Arrays = {}
    called = np.full(len(panel), float(people))
    if NO_CALL in estimates:
        found = estimates[NO_CALL]
        arrays["missing"], arrays["missing_noise"] = found.mean, found.mean_std
        called = people - _believed(found, people)
    if ALLELES in estimates:
        arrays |= _alleles(estimates[ALLELES], called, panel.maf, panel_people)
    if GENOTYPES in estimates:
        arrays |= _genotypes(estimates[ALLELES], estimates[GENOTYPES], called, panel.maf)
    return arrays


def _believed(found: Estimate, people: int) -> NDArray[np.float64]:
    """People without a call, [S]: a site's own number where it stands out of the noise, else the mean of all sites."""
    mean = min(max(math.fsum(found.sum.tolist()) / max(1, found.sum.size), 0.0), people / 2)
    stands_out = np.abs(found.sum - mean) > _SURE * found.std
    return np.where(stands_out, np.clip(found.sum, 0.0, people / 2), mean)


def _alleles(found: Estimate, called: NDArray[np.float64], p: NDArray[np.float64], panel_people: int) -> Arrays:
    moved, noise = found.deviations / (2 * called), found.std / (2 * called)
    frequency = p + moved
    inside = np.clip(frequency, 0.0, 1.0)
    spread = _panel_variance(moved, noise, p, panel_people)
    share = spread / (spread + noise * noise)
    return {
        "frequency": frequency,
        "frequency_noise": noise,
        "frequency_error": np.sqrt(noise * noise + inside * (1 - inside) / (2 * called)),
        "combined": p + moved * share,
        "combined_noise": noise * np.sqrt(share),
    }


def _panel_variance(
    moved: NDArray[np.float64], noise: NDArray[np.float64], p: NDArray[np.float64], panel_people: int
) -> NDArray[np.float64]:
    """Variance of the panel's frequency about that of these people, [S]: c pq, one c for all sites.

    What the released frequencies are away from the panel beyond their noise says how far these people are from it,
    in ancestry, too; never less than the panel's own sampling.
    """
    spread = p * (1 - p)
    floor = 1 / (2 * panel_people) if panel_people else 0.0
    total = math.fsum(spread.tolist())
    beyond = math.fsum((moved * moved - noise * noise).tolist())
    c = max(floor, beyond / total) if total > 0 else floor
    return np.maximum(c * spread, 1e-12)


def _genotypes(alleles: Estimate, contrast: Estimate, called: NDArray[np.float64], p: NDArray[np.float64]) -> Arrays:
    """With f - p = a and the mean contrast t: heterozygotes 2pq + 2(1 - 2p)a - t, homozygotes p^2 + 2pa + t/2.

    Homozygotes less the squared frequency are t/2 - a^2; the noise of a adds its variance to a^2, which is taken off.
    """
    a, a_noise = alleles.deviations / (2 * called), alleles.std / (2 * called)
    t, t_noise = contrast.deviations / called, contrast.std / called
    q = 1 - p
    slope = 2 * (1 - 2 * p)
    inside = np.clip(p + a, 0.0, 1.0)
    apart = t / 2 - a * a + a_noise * a_noise
    from_a = 2 * a * a_noise
    apart_noise = np.sqrt(t_noise * t_noise / 4 + from_a * from_a + 2 * a_noise * a_noise * a_noise * a_noise)
    sampled = inside * (1 - inside)
    return {
        "heterozygous": 2 * p * q + slope * a - t,
        "heterozygous_noise": np.sqrt(slope * a_noise * (slope * a_noise) + t_noise * t_noise),
        "homozygous": p * p + 2 * p * a + t / 2,
        "homozygous_noise": np.sqrt(4 * p * p * a_noise * a_noise + t_noise * t_noise / 4),
        "disequilibrium": apart,
        "disequilibrium_noise": apart_noise,
        "disequilibrium_error": np.sqrt(apart_noise * apart_noise + sampled * sampled / called),
    }
