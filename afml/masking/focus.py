"""Which sites a risk round measures: all of them at first, later those whose associations are the strongest so far.

A person's gradient is clipped to the same norm whatever it is made of, and the noise is the same at every coordinate.
Of fewer sites, scaled so that a typical person is as long as before, each therefore stands out more: its noise falls
with the root of their number. Which sites stay is a function of the noisy sums of the rounds before, so the choice
costs nothing beside them: the rounds compose adaptively (Dong, Roth, Su 2022, corollary 3.3), and one person changes
each of them by at most the clip norm. The idea is distilled sensing (Haupt, Castro, Nowak 2011, arXiv:1001.5311).

Sums, products, roots and comparisons of single float64 numbers, in a fixed order: all nodes come to the same sites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Shares of the risk rounds after which fewer sites are measured. Chosen on phenotype seeds 1000 and above.
STAGES = (0.5, 0.75)


def most_sites(sites: int, focus: int, number: int, rounds: int) -> int:
    """Sites that a round measures at most: all, then the geometric mean of all and of `focus`, then `focus`.

    Args:
        sites: All of them.
        focus: That the last quarter of the rounds measures.
        number: Rounds before this one. Without any there is nothing to choose by.
        rounds: How many there are.
    """
    passed = sum(number >= max(1.0, share * rounds) for share in STAGES)
    return sites if focus >= sites else math.ceil(sites * (focus / sites) ** (passed / len(STAGES)) - 1e-9)


@dataclass(frozen=True, eq=False)
class Looks:
    """How much the rounds so far have measured each site.

    Attributes:
        seen: Squares of the factors of all rounds, summed, [sites].
        rounds: How many there were.
    """

    seen: NDArray[np.float64]
    rounds: int

    @property
    def share(self) -> NDArray[np.float64]:
        """Of what as many rounds of all sites would have measured, [sites]; 1 before the first round."""
        return self.seen / self.rounds if self.rounds else np.ones(len(self.seen))

    def next(self, associations: NDArray[np.float64], most: int) -> NDArray[np.float64]:
        """What the next round multiplies the features by, [sites]; 0 where it does not look.

        Its step along a site is multiplied by the same factor once more: then associations add up with the square of
        the factors and noise with the factors themselves, which is the mean of least variance over rounds.

        Args:
            associations: Accumulated so far, equal bits at all nodes, [traits, sites].
            most: Sites that it may measure (`most_sites`).
        """
        looked = self.seen == self.seen.max()  # by every round so far, all of them alike
        if most < np.count_nonzero(looked):
            strength = np.where(looked, np.abs(associations).max(axis=0), -1.0)
            looked = np.zeros_like(looked)
            looked[np.argsort(-strength, kind="stable")[:most]] = True
        return np.where(looked, np.sqrt(len(looked) / np.count_nonzero(looked)), 0.0)

    def after(self, factors: NDArray[np.float64]) -> Looks:
        """With one round more."""
        return Looks(self.seen + factors * factors, self.rounds + 1)
