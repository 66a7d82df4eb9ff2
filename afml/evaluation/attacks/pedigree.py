"""Simulated descendants: whom a released person's family may have put into a public database."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Int8


class Pedigree:
    """Children, grandchildren and great-grandchildren of people of whom only dosages are known.

    Every site is inherited as Mendel has it: one of a person's two alleles, and windows of neighbouring sites come from
    the same of their two haplotypes. Which alleles lie on the same haplotype is not known; neighbours are joined as
    their correlation on the panel suggests (alleles that are seen together stay together).

    Args:
        mates: int8[p, S], whom they have children with, and whose correlations are used; no missing calls.
        window: Sites that are passed on together.
    """

    def __init__(self, mates: Int8, window: int = 32) -> None:
        self._mates = mates
        self._window = window
        centred = mates - mates.mean(axis=0)
        apart = (centred[:, :-1] * centred[:, 1:]).sum(axis=0) < 0
        #: bool[S]: whether the minor allele of a heterozygous site lies on the second haplotype.
        self._second = np.concatenate([[False], np.logical_xor.accumulate(apart)]).astype(np.bool_)

    def _gamete(self, people: Int8, rng: np.random.Generator) -> Int8:
        """int8[n, S] in {0, 1}: what each person passes on."""
        n, sites = people.shape
        windows = -(-sites // self._window)
        second: NDArray[np.bool_] = np.repeat(rng.random((n, windows)) < 0.5, self._window, axis=1)[:, :sites]
        passed = np.where(people == 1, second == self._second, people == 2)
        return np.asarray(passed, dtype=np.int8)

    def descendants(self, people: Int8, degree: int, rng: np.random.Generator) -> Int8:
        """A descendant of each person: a child (degree 1), grandchild (2), great-grandchild (3), ...

        Args:
            people: int8[n, S], no missing calls.
            degree: Of relationship, from 1 on; the expected kinship is 2^-(degree + 1).
            rng: Of mates and of what is passed on; the experiment's, not a secret.

        Returns:
            int8[n, S].
        """
        young = people
        for _ in range(degree):
            mates = self._mates[rng.integers(0, len(self._mates), size=len(people))]
            young = self._gamete(young, rng) + self._gamete(mates, rng)
        return young
