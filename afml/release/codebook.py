"""Release method "codebook": patterns are common genotypes, chosen together so that who takes which says the score.

Any common genotype may be a codeword, whatever its association. What a codeword says is *who takes it*, and with
many sites to choose from there is, for every score, one that enough of the people near it contain. So such a
release carries nearly all that a score in as many bins carries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.release.method import ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook, Pattern
from afml.release.quantiser import learn

#: Carriers, as a share of the public people, that make a genotype worth a codeword, and most candidates.
MIN_CARRIERS, MAX_CANDIDATES = 0.04, 4096
_SITES_AT_ONCE = 4096


class PanelCodebook(ReleaseMethod):
    """Single common genotypes of the panel."""

    name = "codebook"
    title = "codebook"
    compared = True

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """A codebook of common genotypes."""
        return learn(people, model.risk_score(people), common_genotypes(people), patterns=patterns, min_share=share)


def common_genotypes(dosage: NDArray[np.int8], values: tuple[int, ...] = (1, 2)) -> list[Pattern]:
    """Single genotypes that enough public people carry, as patterns; the most balanced ones where many do."""
    blocks = (dosage[:, start : start + _SITES_AT_ONCE] for start in range(0, dosage.shape[1], _SITES_AT_ONCE))
    counted = [[np.count_nonzero(block == value, axis=0) for value in values] for block in blocks]
    shares = np.concatenate([np.stack(counts, axis=1) for counts in counted]) / len(dosage)  # [sites, values]
    flat = shares.reshape(-1)
    enough = np.flatnonzero(flat >= MIN_CARRIERS)
    kept = enough[np.argsort(np.abs(flat[enough] - 0.5), kind="stable")[:MAX_CANDIDATES]]
    return [((int(index) // len(values), values[int(index) % len(values)]),) for index in np.sort(kept)]


METHOD = PanelCodebook()
