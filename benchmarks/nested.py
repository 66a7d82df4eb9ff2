"""What a second release of the same people tells, nested in the first, beside what it would tell alone.

Simulated people as in `patterns` (256 sites) have two independent scores of 20 sites each. A first file shows score
one by J patterns of the method "codebook", in groups of at least 20; a second file shows score two by up to ten
patterns, nested in it. A figure `N_J` is the correlation of the released with the true second score among N people,
`N_alone` that of the second file by itself, `N_J_first` that of the first file with the first score; `N_J_least` is the
smallest joint group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.ledger.joint import joint_groups, nested_in
from afml.masking.mosaics import mosaics
from afml.release.codebook import common_genotypes
from afml.release.grouping import Blocks, grouped, nested
from afml.release.patterns import Codebook
from afml.release.quantiser import learn
from benchmarks.patterns import simulate

SITES, PANEL, MOSAICS, CAUSAL, K, PATTERNS = 256, 1000, 4000, 20, 20, 10
FILES = {2_000: (2, 4, 10, 25), 20_000: (4, 10, 50, 200)}

BARS = {f"{people}_{first}_least": (">=", K) for people, firsts in FILES.items() for first in firsts}


class Trial:
    """One simulated file, and patterns that public people say of each of its scores."""

    def __init__(self, people: int, seed: int = 3) -> None:
        everybody = simulate(PANEL + people, SITES, seed)
        panel, self.file = everybody[:PANEL], everybody[PANEL:]
        rng = np.random.default_rng([seed, 2])
        self.public = np.concatenate([panel, np.empty((MOSAICS, SITES), np.int8)])
        mosaics(panel, MOSAICS, rng, out=self.public[PANEL:])
        weights = np.zeros((2, SITES))
        for row in weights:
            row[rng.choice(SITES, CAUSAL, replace=False)] = rng.normal(size=CAUSAL)
        self.weights = weights / panel.std(axis=0)

    def book(self, score: int, patterns: int) -> Codebook:
        """Patterns for one of the scores, learned on public people."""
        share = K / len(self.file)
        pool = common_genotypes(self.public)
        return learn(self.public, self.public @ self.weights[score], pool, patterns=patterns, min_share=share)

    def told(self, book: Codebook, score: int, blocks: Blocks | None) -> tuple[NDArray[np.int64], float]:
        """The file in groups by a codebook: (pattern of each person, correlation of what it says with the score)."""
        truth = self.file @ self.weights[score]
        choices = book.choices(self.file, truth)
        taken = grouped(choices, K) if blocks is None else nested(choices, blocks)
        return taken, float(np.corrcoef(book.centroids[taken, 0], truth)[0, 1])


def run() -> dict[str, float]:
    """Correlations, by people of the file and patterns of the first release."""
    figures: dict[str, float] = {}
    for people, firsts in FILES.items():
        trial = Trial(people)
        second = trial.book(1, PATTERNS)
        figures[f"{people}_alone"] = round(trial.told(second, 1, None)[1], 3)
        names = [number.to_bytes(4, "big") for number in range(people)]
        for first in firsts:
            taken, correlation = trial.told(trial.book(0, first), 0, None)
            figures[f"{people}_{first}_first"] = round(correlation, 3)
            before = {0: dict(zip(names, taken.tolist(), strict=True))}
            nesting = nested_in(names, K, before, {0: K})
            blocks = Blocks(np.array(nesting.block), nesting.least)
            shown, correlation = trial.told(second, 1, blocks)
            figures[f"{people}_{first}"] = round(correlation, 3)
            new = dict(zip(names, shown.tolist(), strict=True))
            figures[f"{people}_{first}_least"] = joint_groups(new, K, before, {0: K}).smallest
    return figures
