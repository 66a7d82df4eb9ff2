"""Simulated people out of numpy alone: population structure and linkage, nobody's genome.

Good enough to plan with (how many people, how much noise), not to study genetics: `tools/simulate_cohorts.py`
runs a coalescent for that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sites import ANNOTATIONS, SitePanel

FOUNDERS = 20  # haplotypes per population
SWITCH = 0.05  # probability per site that a haplotype changes founder
FST = 0.1
_PEOPLE_AT_ONCE = 512


def simulate_dosage(people: int, sites: int, seed: int, *, populations: int = 5) -> NDArray[np.int8]:
    """Minor-allele dosage, int8 [people, sites] in {0, 1, 2}; every site varies.

    Frequencies differ between populations as in Balding and Nichols (1995) at F_ST = 0.1, around ancestral
    ones uniform in [0.1, 0.5] (the most common sites of a panel). A person's two haplotypes are mosaics of
    the founders of the person's population (Li, Stephens 2003).
    """
    rng = np.random.default_rng([seed, 0xC0])
    ancestral = rng.uniform(0.1, 0.5, sites)
    spread = (1 - FST) / FST
    frequency = rng.beta(ancestral * spread, (1 - ancestral) * spread, (populations, sites))
    founders = rng.random((populations, FOUNDERS, sites)) < frequency[:, None, :]
    dosage = np.zeros((people, sites), dtype=np.int8)
    column = np.arange(sites)
    for start in range(0, people, _PEOPLE_AT_ONCE):
        rows = min(_PEOPLE_AT_ONCE, people - start)
        population = rng.integers(populations, size=rows)
        for _ in range(2):
            jump = rng.random((rows, sites)) < SWITCH
            jump[:, 0] = True
            last = np.maximum.accumulate(np.where(jump, column, 0), axis=1)
            founder = np.take_along_axis(rng.integers(FOUNDERS, size=(rows, sites)), last, axis=1)
            dosage[start : start + rows] += founders[population[:, None], founder, column]
    constant = dosage.min(axis=0) == dosage.max(axis=0)
    dosage[0, constant] = (dosage[0, constant] + 1) % 3
    common = dosage.mean(axis=0) > 1
    dosage[:, common] = 2 - dosage[:, common]
    return dosage


def simulated_panel(panel_dosage: NDArray[np.int8]) -> SitePanel:
    """A site panel for simulated dosages [panel people, sites]: invented positions, no annotation but MAF."""
    sites = panel_dosage.shape[1]
    maf = np.minimum(panel_dosage.mean(axis=0) / 2, 0.5)
    annotations = np.zeros((sites, len(ANNOTATIONS)), dtype=np.float32)
    annotations[:, 0] = 2 * maf
    return SitePanel(
        chrom=["1"] * sites,
        pos=1000 + 100 * np.arange(sites, dtype=np.int64),
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=np.ones(sites, dtype=bool),
        maf=maf,
        annotations=annotations,
    )
