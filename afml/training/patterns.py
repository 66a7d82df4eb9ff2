"""Where the patterns of a release come from, method by method, and what a person may take of them."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.draws import public_draw
from afml.training.codebook import Codebook, Pattern, common_genotypes, learn
from afml.training.greedy import learn_greedy
from afml.training.lineup import mosaics
from afml.training.model import TrainedModel

Method = Literal["codebook", "greedy", "network"]
_MOSAICS = 4000
_MOSAIC_GENOTYPES = 100_000_000
_NETWORK_POOL = 200
#: Records that show more than this offer single genotypes only.
_PAIRED_GENOTYPES = 16


def contained(model: TrainedModel, dosage: NDArray[np.int8], method: Method) -> NDArray[np.int8]:
    """What a person's pattern is taken from: the record, or what the Masking Network keeps of it."""
    return model.network_release(dosage) if method == "network" else dosage


def learn_patterns(
    model: TrainedModel, panel: NDArray[np.int8], patterns: int, share: float, method: Method
) -> Codebook:
    """Learn a codebook on panel people and mosaics of them.

    Args:
        model: The trained model.
        panel: Panel dosages, [people, sites].
        patterns: J, at most.
        share: Smallest share of people that a pattern must attract.
        method: Where candidates come from.
    """
    public = with_mosaics(panel, _MOSAICS, public_rng(model, "release plan"))
    score = model.risk_score(public)
    if method == "greedy":
        return learn_greedy(public, score, model.weights, patterns=patterns, min_share=share)
    shown = contained(model, public, method)
    pool = _network_patterns(shown) if method == "network" else common_genotypes(public)
    return learn(shown, score, pool, patterns=patterns, min_share=share)


def with_mosaics(panel: NDArray[np.int8], wanted: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """The panel and up to `wanted` mosaics of it, as many as memory allows, [people, sites]."""
    count = max(0, min(wanted, _MOSAIC_GENOTYPES // panel.shape[1] - len(panel)))
    return np.concatenate([panel, mosaics(panel, count, rng)])


def public_rng(model: TrainedModel, label: str) -> np.random.Generator:
    """A generator for public data, the same for everybody who holds the model."""
    return public_draw(str(model.card.get("draws", "")), label)


def _network_patterns(shown: NDArray[np.int8]) -> list[Pattern]:
    """What the network shows of public people: whole patterns, pairs, genotypes; most frequent first."""
    counts: Counter[Pattern] = Counter()
    for row in shown:
        sites = np.flatnonzero(row > 0)
        whole = tuple((int(site), int(row[site])) for site in sites)
        parts: set[Pattern] = {(genotype,) for genotype in whole}
        if len(whole) <= _PAIRED_GENOTYPES:
            parts |= {whole} | {(a, b) for i, a in enumerate(whole) for b in whole[i + 1 :]}
        counts.update(parts - {()})
    return [pattern for pattern, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NETWORK_POOL]]
