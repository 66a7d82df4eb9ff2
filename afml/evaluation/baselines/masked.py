"""Masks that do not look at a person: random ones, the same sites of everybody, randomised response."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.family import Family, Level, as_level
from afml.evaluation.masks import random_mask, randomised_response, static_mask

RANDOM = "random masking"
STATIC = "static top sites"
RESPONSE = "randomised response"
#: Families in which every level shows more than the one before.
MASKS = (RANDOM, STATIC, RESPONSE)
KEEP_RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
TOP_SITES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40)
#: People from which on a level of random masking is judged by one mask.
ONE_DRAW = 4_000
EPSILONS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def random_level(comparands: Comparands, rate: float, draws: int = 3) -> Level:
    """Random masking at one rate. Its AUC is the mean over `draws` masks; the attack sees the first.

    Among many people one mask of theirs is as good as three of few.
    """
    value = comparands.masked_value
    one = rate >= 1 or len(comparands.dosage) > ONE_DRAW
    released = [
        random_mask(rate, value, comparands.seed, 1, draw)(comparands.dosage) for draw in range(1 if one else draws)
    ]
    auc = comparands.worth(np.array([comparands.aucs(one) for one in released]).T.copy().mean(axis=1))
    # The attacker knows the rate, not the masks: theirs come from another seed.
    return as_level(comparands, f"keep {rate:.3g}", released[0], random_mask(rate, value, comparands.seed, 2), auc)


def random_masking(comparands: Comparands) -> Family:
    """Random masking from 0.05 % of the genotypes to all."""
    return Family(RANDOM, tuple(random_level(comparands, rate) for rate in KEEP_RATES))


def ranked_sites(panel: Int8, weights: Float64) -> NDArray[np.int64]:
    """Sites that carry weight, largest |weight| * standard deviation of dosage on the panel first.

    With several phenotypes (weights float64[D, S]) the first site of each, then the second of each, and so on: the
    first D * m are the union of the top m of each, but for sites that several share.
    """
    called = np.ma.masked_less(panel, 0)
    spread = np.asarray(called.std(axis=0).filled(0.0))
    ranked: dict[tuple[int, int], int] = {}
    for phenotype, own in enumerate(np.atleast_2d(weights)):
        importance = np.abs(own) * spread
        order = np.argsort(-importance, kind="stable")
        ranked |= {(rank, phenotype): int(site) for rank, site in enumerate(order[importance[order] > 0])}
    return np.array(list(dict.fromkeys(ranked[place] for place in sorted(ranked))), dtype=np.int64)


def site_counts(weights: Float64, usable: int) -> list[int]:
    """Numbers of sites to release: `TOP_SITES` for every phenotype, as far as there are any."""
    return sorted({min(m * len(np.atleast_2d(weights)), max(usable, 1)) for m in TOP_SITES})


def static_level(comparands: Comparands, weights: Float64, count: int) -> Level:
    """The `count` top sites of the risk model, the same for everybody."""
    mask = static_mask(ranked_sites(comparands.panel, weights)[:count], comparands.masked_value)
    return as_level(comparands, f"{count} sites", mask(comparands.dosage), mask)


def static_sites(comparands: Comparands, weights: Float64) -> Family:
    """Static top-m sites of the risk model, m = 1 ... 40 for each phenotype."""
    usable = int((np.atleast_2d(weights) != 0).any(axis=0).sum())
    return Family(STATIC, tuple(static_level(comparands, weights, m) for m in site_counts(weights, usable)))


def response_levels(comparands: Comparands) -> Family:
    """Randomised response on every genotype, epsilon per genotype from 0.1 to 8."""

    def level(epsilon: float) -> Level:
        released = randomised_response(epsilon, comparands.seed, 3)(comparands.dosage)
        return as_level(comparands, f"epsilon {epsilon:g}", released, randomised_response(epsilon, comparands.seed, 4))

    return Family(RESPONSE, tuple(level(epsilon) for epsilon in EPSILONS))
