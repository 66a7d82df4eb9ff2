"""Hardy-Weinberg equilibrium of a site: the exact test of Wigginton, Cutler and Abecasis (2005)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln

#: People above which the chi-squared approximation takes the exact test's place: they agree there for common sites.
EXACT_PEOPLE = 10_000
_TIE = 1e-9  # two tables are equally likely if their probabilities differ by less than this, relatively


def hwe_p(called: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.float64]:
    """p-value of every site, [S]; 1 for a site at which everybody is homozygous for one allele, or without calls.

    Args:
        called: People with a call.
        one: Heterozygous people.
        two: People with two copies of one of the alleles.
    """
    found = np.ones(len(called))
    for site in range(len(called)):
        people, hetero = int(called[site]), int(one[site])
        copies = hetero + 2 * int(two[site])
        rare = min(copies, 2 * people - copies)
        if rare > 0:
            found[site] = _exact(people, hetero, rare) if people <= EXACT_PEOPLE else _approximate(people, hetero, rare)
    return found


def _exact(people: int, hetero: int, rare: int) -> float:
    """Probability of the tables that are no likelier than this one, given the numbers of alleles."""
    others = np.arange(rare % 2, rare + 1, 2)  # heterozygous people there could be
    rare_pairs = (rare - others) / 2
    common_pairs = people - others - rare_pairs
    logs = others * np.log(2.0) - gammaln(others + 1) - gammaln(rare_pairs + 1) - gammaln(common_pairs + 1)
    weights = np.exp(logs - logs.max())
    own = weights[(hetero - rare % 2) // 2]
    return float(min(1.0, weights[weights <= own * (1 + _TIE)].sum() / weights.sum()))


def _approximate(people: int, hetero: int, rare: int) -> float:
    q = rare / (2 * people)
    expected = np.array([people * (1 - q) ** 2, 2 * people * q * (1 - q), people * q**2])
    rare_pairs = (rare - hetero) / 2
    seen = np.array([people - hetero - rare_pairs, hetero, rare_pairs])
    return float(chdtrc(1, ((seen - expected) ** 2 / expected).sum()))
