"""How much an evaluation looks at before it takes a sample; reports say which samples were taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Most:
    """How many pairs of distinct record and candidate an attack scores before it takes a sample of the records.

    Attributes:
        pairs: Where records differ from each other at few sites: those of a codebook do.
        dense: Where they differ at many, so that each pair costs more.
        least: Records of a sample, whatever the number of candidates.
    """

    pairs: int = 1 << 31
    dense: int = 1 << 29
    least: int = 256


@dataclass(frozen=True)
class Limits:
    """What is looked at in full up to a size, and by a random sample of this size beyond it.

    Attributes:
        attacks: Pairs that attacks on the release score.
        baselines: Pairs that attacks on each level of a baseline score.
        utility_people: People, trained on and held out, on whom utility is measured.
        baseline_people: The same for baselines.
        members: Released people whose membership is asked about.
        sources: Private people whose mosaics are further candidates.
        candidates: Candidates, real and simulated, of the curve over the population: no sample, its end.
        harder: People, as records and as candidates, whom relatives and second releases are asked about.
    """

    attacks: Most = Most()
    baselines: Most = Most(1 << 28, 1 << 25)
    utility_people: int = 50_000
    baseline_people: int = 8_192
    members: int = 20_480
    sources: int = 50_000
    candidates: int = 1_000_000
    harder: int = 20_000

    def of(self, people: int) -> Limits:
        """Samples of people, smaller in proportion: utility is measured on so many. Attacks score as many pairs."""
        share = min(1.0, people / self.utility_people)
        return replace(self, **{name: math.ceil(share * getattr(self, name)) for name in _OF_PEOPLE})


_OF_PEOPLE = ("utility_people", "baseline_people", "members", "sources", "harder")
LIMITS = Limits()


def chosen(people: int, most: int, *seed: int) -> NDArray[np.int64] | slice:
    """Rows of `most` random people, in order; all of them, as a slice that copies nothing, where there are no more."""
    if people <= most:
        return slice(None)
    return np.sort(np.random.default_rng(seed).permutation(people)[:most])


def count(rows: NDArray[np.int64] | slice, people: int) -> int:
    """How many of `people` were chosen."""
    return people if isinstance(rows, slice) else len(rows)
