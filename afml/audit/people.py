"""Made-up people in the real format: the worst people for a mechanism to protect.

All are dosages in {0, 1, 2} and a phenotype in {0, 1}, so whatever they reach, an enrolled person could.
`as_declared` gives them what else a run learns.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard

from afml.data.schema import FARTHEST_SPREADS
from afml.masking.enrolled import TRAIT_SPREADS, Enrolled
from afml.masking.settings import RiskSettings

MOST_SPREAD = 2048
"""Most people that `spread` can make."""


def spread(sites: int, people: int, rng: np.random.Generator) -> Enrolled:
    """People who are homozygous everywhere, in patterns as different as can be; phenotypes by coin toss.

    The patterns are rows of a Hadamard matrix over randomly chosen sites (all of them where their number is
    a power of two up to MOST_SPREAD), random elsewhere. Their gradients are long enough to be clipped at the
    default clip norm, and nearly orthogonal, so that canaries hide behind each other as little as possible.

    Args:
        sites: Number of sites.
        people: How many, at most `most_spread(sites)`.
        rng: Draws them.
    """
    order = most_spread(sites)
    signs = rng.choice(np.array([-1, 1], np.int8), size=(people, sites))
    rows, columns = rng.permutation(order)[:people], rng.permutation(sites)[:order]
    flips = rng.choice(np.array([-1, 1], np.int8), size=order)
    signs[:, columns] = hadamard(order, dtype=np.int8)[rows] * flips
    return Enrolled(signs + np.int8(1), rng.integers(2, size=people).astype(np.int8))


def most_spread(sites: int) -> int:
    """The most people that `spread` can make over so many sites: a power of two."""
    return int(min(MOST_SPREAD, 2 ** (sites.bit_length() - 1)))


def copies(person: Enrolled, people: int, phenotype: int) -> Enrolled:
    """The same genotype `people` times, all with one phenotype."""
    return Enrolled(np.repeat(person.dosage[:1], people, axis=0), np.full(people, phenotype, np.int8))


def as_declared(people: Enrolled, risk: RiskSettings) -> Enrolled:
    """People of one binary phenotype as a run with other traits and covariates sees them.

    Everybody is a case of all binary traits or of none; a quantitative trait is as far from its centre as can be,
    above it for cases; covariates are at their centres. A run without traits sees no phenotype.
    """
    if not risk.declared:
        return Enrolled(people.dosage, np.zeros((len(people), 0), np.int8))
    if len(risk.declared) == 1 and not risk.traits and not risk.covariates:
        return people
    case = people.phenotype.astype(np.float64)
    extreme = (2.0 * case - 1.0) * (FARTHEST_SPREADS / TRAIT_SPREADS)
    kinds = [trait.kind for trait in risk.declared]
    targets = np.stack([extreme if kind == "quantitative" else case for kind in kinds], axis=1)
    covariates = np.zeros((len(people), len(risk.covariates)), np.float32) if risk.covariates else None
    return Enrolled(people.dosage, targets if "quantitative" in kinds else targets.astype(np.int8), covariates)
