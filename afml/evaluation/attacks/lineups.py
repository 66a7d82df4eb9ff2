"""Line-ups of released records and candidates, as the trained identifier reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.attacks.masker_aware import MaskDistance

Float32 = NDArray[np.float32]
TOKENS = 16
_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Pairs:
    """(record, candidate) pairs.

    Attributes:
        evidence: float64[q, 2], what is known already: log-likelihood of the record, and minus the number of
            sites at which it differs from the candidate's own masked profile.
        tokens: float32[q, tokens, 2], the same window by window: log P(record | candidate) / P(record), and
            minus the differing sites.
        record: int64[q], row of the record.
        candidate: int64[q], row of the candidate.
    """

    evidence: Float64
    tokens: Float32
    record: NDArray[np.int64]
    candidate: NDArray[np.int64]


class Tokeniser:
    """Cuts what a case says about a pair into windows along the genome."""

    def __init__(self, knowledge: Knowledge) -> None:
        sites = knowledge.panel.shape[1]
        given = np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel)
        alone = np.einsum("sg,sgo->so", knowledge.frequencies, knowledge.channel)
        self._table = np.log(given / alone[:, None, :]).astype(np.float32).reshape(-1)
        self._site = np.arange(sites, dtype=np.int32) * 16
        width = -(-sites // min(TOKENS, sites))
        self.starts = np.arange(0, sites, width)
        self.count, self.width = len(self.starts), width

    def tokens(self, records: Int8, case: Case, record: NDArray[np.int64], candidate: NDArray[np.int64]) -> Float32:
        """float32[q, tokens, 2] of the pairs (records[record[k]], candidate[k] of the case)."""
        masks, mask_of = case.masks
        out = np.empty((len(record), self.count, 2), dtype=np.float32)
        for start in range(0, len(record), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            shown, called = records[record[part]], case.references[candidate[part]]
            index = self._site + (called + 1).astype(np.int32) * 4 + (shown + 1)
            out[part, :, 0] = np.add.reduceat(self._table[index], self.starts, axis=1)
            apart = (shown != masks[mask_of[candidate[part]]]).astype(np.float32)
            out[part, :, 1] = -np.add.reduceat(apart, self.starts, axis=1)
        return out

    def inputs(self, calls: Int8, centre: Float64, scale: Float64) -> Float32:
        """float32[n, tokens, 2 * width]: centred, scaled dosages and what is called, window by window."""
        called = calls >= 0
        values = np.stack([np.where(called, (calls - centre) / scale, 0.0), called], axis=-1).astype(np.float32)
        padded = np.zeros((len(calls), self.count * self.width, 2), dtype=np.float32)
        padded[:, : calls.shape[1]] = values
        return padded.reshape(len(calls), self.count, -1)


class Evidence:
    """Likelihood and masker-aware distance of every record pattern of a case against blocks of candidates."""

    def __init__(self, case: Case) -> None:
        self._likelihood, self._apart = RecordLikelihood(case), MaskDistance(case)

    def block(self, part: slice) -> tuple[Float64, Float64]:
        """(log-likelihood, minus the differing sites), float64[patterns, candidates of `part`] each, exact."""
        return self._likelihood.block(part).astype(np.float64), -self._apart.block(part).astype(np.float64)


def line_up(case: Case, tokeniser: Tokeniser, size: int, rng: np.random.Generator) -> tuple[Pairs, NDArray[np.int64]]:
    """Each record's own candidate first, then `size - 1` decoys: half at random, half those hardest to tell.

    Hardest are the candidates whose masked profile is nearest and under whom the record is most probable: in a
    line-up of strangers alone an attacker would soon be right always and learn nothing more.

    Args:
        case: Records of people who are all among the candidates.
        tokeniser: Of the case's knowledge.
        size: Candidates a line-up, at most.
        rng: Of decoys.

    Returns:
        (pairs, record-major; int64[n, size], their candidates).
    """
    _, pattern_of = case.patterns
    people = len(case.references)
    likelihood, nearness = Evidence(case).block(slice(0, people))
    size = min(size, people)
    hard = (size - 1) // 2
    score = (nearness * 20 + likelihood)[pattern_of]
    # Equally hard decoys in an order of their own for every record.
    score += rng.random(score.shape, dtype=np.float32) * 1e-3
    chance = rng.random(score.shape, dtype=np.float32)
    rows = np.arange(len(case.released))
    if hard:
        score[rows, case.truth] = -np.inf
        worst = np.argpartition(-score, hard - 1, axis=1)[:, :hard]
        np.put_along_axis(chance, worst, 2.0, axis=1)
    else:
        worst = np.empty((len(rows), 0), dtype=np.int64)
    chance[rows, case.truth] = 3.0
    rest = np.argsort(chance, axis=1)[:, : size - 1 - hard]
    candidates = np.concatenate([case.truth[:, None], worst, rest], axis=1)
    record = np.repeat(rows, size)
    candidate = candidates.reshape(-1)
    evidence = np.stack([table[pattern_of[record], candidate] for table in (likelihood, nearness)], axis=1)
    tokens = tokeniser.tokens(case.released, case, record, candidate)
    return Pairs(evidence, tokens, record, candidate), candidates
