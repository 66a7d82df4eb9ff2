"""Line-ups: records, their own reference profiles with genotyping error, and decoys from the panel.

A person's line-up depends on that person, on public panel people and on the person's own random stream.
No other private person enters it; otherwise a person's gradient would depend on others and the proof of
differential privacy would be void.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afml.models.features import PanelStatistics
from crypto.public.random import RandomSource

#: Genotypes of mosaics and panel that are held in memory for decoys and training, at most.
_POOL_GENOTYPES = 100_000_000


@dataclass(frozen=True)
class Lineup:
    """Tensors of one batch.

    Attributes:
        dosage: Records, missing = 0, [people, sites].
        channels: Input of the Masking Network, [people, 2 + A, sites].
        candidates: Candidates' dosages, missing = panel mean, the true one first, [people, K, sites].
        candidates_standard: The same, standardised by the panel, [people, K, sites].
        uniform: Uniforms of the relaxed masks, [people, sites].
        score: Risk score with panel mean 0 and variance 1, [people] or [people, phenotypes].
    """

    dosage: torch.Tensor
    channels: torch.Tensor
    candidates: torch.Tensor
    candidates_standard: torch.Tensor
    uniform: torch.Tensor
    score: torch.Tensor


def masker_channels(
    statistics: PanelStatistics, annotations: NDArray[np.float32], dosage: NDArray[np.int8]
) -> torch.Tensor:
    """Input of the Masking Network: standardised dosage, called flag, annotations. [people, 2 + A, sites]"""
    people, sites = dosage.shape
    out = np.empty((people, 2 + annotations.shape[1], sites), np.float32)
    out[:, 0] = statistics.standardise(dosage)
    out[:, 1] = dosage >= 0
    out[:, 2:] = annotations.T
    return torch.from_numpy(out)


def reference_profile(dosage: NDArray[np.int8], error: float, uniform: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
    """An independent genotyping of the same people: wrong calls and missing calls at rate `error` each.

    Args:
        dosage: True dosages, [people, sites].
        error: Rate of wrong calls, and of missing ones.
        uniform: One uniform per genotype, [people, sites].
    """
    profile = dosage.copy()
    wrong = (uniform < error) & (dosage >= 0)
    # Half of the wrong calls land on each of the two other genotypes.
    step = np.where(uniform < error / 2, 1, 2)
    profile[wrong] = ((dosage + step) % 3).astype(np.int8)[wrong]
    profile[(uniform >= error) & (uniform < 2 * error)] = -1
    return profile


def mosaics(panel: NDArray[np.int8], count: int, rng: np.random.Generator, *, windows: int = 32) -> NDArray[np.int8]:
    """New public people: about half of the windows from each of two panel people, [count, sites]."""
    people, sites = panel.shape
    edges = np.minimum(np.arange(sites) * windows // sites, windows - 1)  # window of each site
    out = np.empty((count, sites), np.int8)
    for row in range(count):
        first, second = rng.integers(people, size=2)
        pick = rng.integers(2, size=windows)[edges].astype(bool)
        out[row] = np.where(pick, panel[first], panel[second])
    return out


class DecoyPool:
    """Reference profiles of public people: the panel and mosaics of it, genotyped with error.

    Args:
        panel: Panel dosages, [people, sites].
        error: Genotyping error of the profiles.
        rng: Seeded generator: the pool is the same at every party.
        wanted: Mosaics to make when memory allows.
    """

    def __init__(self, panel: NDArray[np.int8], error: float, rng: np.random.Generator, *, wanted: int = 1000) -> None:
        count = max(0, min(wanted, _POOL_GENOTYPES // panel.shape[1] - len(panel)))
        self.people = np.concatenate([panel, mosaics(panel, count, rng)])
        self.profiles = np.empty_like(self.people)
        for start in range(0, len(self.people), 256):  # by parts: uniforms are four times as large as genotypes
            part = self.people[start : start + 256]
            uniform = rng.random(part.shape, dtype=np.float32)
            self.profiles[start : start + 256] = reference_profile(part, error, uniform)

    def __len__(self) -> int:
        return len(self.people)


def public_lineup(
    pool: DecoyPool,
    statistics: PanelStatistics,
    annotations: NDArray[np.float32],
    score: NDArray[np.float64],
    *,
    batch: int,
    lineup: int,
    error: float,
    rng: np.random.Generator,
) -> Lineup:
    """A batch of public people.

    Args:
        pool: Public people.
        statistics: Panel statistics.
        annotations: [sites, A].
        score: Standardised risk scores of the pool's people, [pool].
        batch: People in the batch.
        lineup: Candidates K.
        error: Genotyping error.
        rng: Seeded generator.
    """
    chosen = rng.integers(len(pool), size=batch)
    # A decoy is anybody else: an offset of 1 .. pool - 1 never comes back to the person.
    decoys = (chosen[:, None] + rng.integers(1, len(pool), size=(batch, lineup - 1))) % len(pool)
    record = pool.people[chosen]
    own = reference_profile(record, error, rng.random(record.shape, dtype=np.float32))
    candidates = np.concatenate([own[:, None], pool.profiles[decoys]], axis=1)
    uniform = rng.random(record.shape, dtype=np.float32)
    return _assemble(statistics, annotations, record, candidates, uniform, score[chosen])


def private_lineup(
    dosage: NDArray[np.int8],
    streams: list[RandomSource],
    pool: DecoyPool,
    statistics: PanelStatistics,
    annotations: NDArray[np.float32],
    score: NDArray[np.float64],
    *,
    lineup: int,
    error: float,
) -> Lineup:
    """A batch of private people, each with a random stream of their own.

    Args:
        dosage: Records, [people, sites].
        streams: One random source per person.
        pool: Public people, the only decoys.
        statistics: Panel statistics.
        annotations: [sites, A].
        score: Standardised risk scores, [people].
        lineup: Candidates K.
        error: Genotyping error.
    """
    sites = dosage.shape[1]
    uniform = np.empty(dosage.shape, np.float32)
    candidates = np.empty((len(dosage), lineup, sites), np.int8)
    for row, stream in enumerate(streams):
        draw = stream.uniform(2 * sites + lineup - 1)
        uniform[row] = draw[:sites]
        candidates[row, 0] = reference_profile(dosage[row], error, draw[sites : 2 * sites])
        candidates[row, 1:] = pool.profiles[(draw[2 * sites :] * len(pool)).astype(np.int64)]
    return _assemble(statistics, annotations, dosage, candidates, uniform, score)


def _assemble(
    statistics: PanelStatistics,
    annotations: NDArray[np.float32],
    record: NDArray[np.int8],
    candidates: NDArray[np.int8],
    uniform: NDArray[np.float32],
    score: NDArray[np.float64],
) -> Lineup:
    people, lineup, sites = candidates.shape
    standard = statistics.standardise(candidates.reshape(-1, sites)).reshape(people, lineup, sites)
    mean = statistics.mean.astype(np.float32)
    filled = np.where(candidates < 0, mean, candidates).astype(np.float32)
    return Lineup(
        dosage=torch.from_numpy(np.maximum(record, 0).astype(np.float32)),
        channels=masker_channels(statistics, annotations, record),
        candidates=torch.from_numpy(filled),
        candidates_standard=torch.from_numpy(standard),
        uniform=torch.from_numpy(uniform),
        score=torch.from_numpy(score.astype(np.float32)),
    )
