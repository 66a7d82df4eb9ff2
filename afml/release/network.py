"""Release method "network": patterns are what the Masking Network shows of public people.

Several sites at once, or parts of that. A person may take only what the network keeps of the person's own record.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook, Pattern
from afml.release.quantiser import learn

MAX_CANDIDATES = 200
#: Records that show more than this offer single genotypes only.
PAIRED_GENOTYPES = 16


class NetworkCodebook(ReleaseMethod):
    """Patterns of the Masking Network."""

    name = "network"
    title = "network codebook"
    compared = True

    def lacking(self, model: ScoredModel) -> str | None:
        """A model needs a Masking Network."""
        return None if len(model.game) else "the model was trained without a game"

    def contained(self, model: ScoredModel, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the network keeps of each record, [people, sites]."""
        return model.network_release(dosage)

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """A codebook of what the network shows."""
        pool = shown_patterns(contained)
        return learn(contained, model.risk_score(people), pool, patterns=patterns, min_share=share)


def shown_patterns(shown: NDArray[np.int8]) -> list[Pattern]:
    """What the network shows of public people: whole patterns, pairs, genotypes; most frequent first."""
    counts: Counter[Pattern] = Counter()
    for row in shown:
        sites = np.flatnonzero(row > 0)
        whole = tuple((int(site), int(row[site])) for site in sites)
        parts: set[Pattern] = {(genotype,) for genotype in whole}
        if len(whole) <= PAIRED_GENOTYPES:
            parts |= {whole} | {(a, b) for i, a in enumerate(whole) for b in whole[i + 1 :]}
        counts.update(parts - {()})
    return [pattern for pattern, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_CANDIDATES]]


METHOD = NetworkCodebook()
