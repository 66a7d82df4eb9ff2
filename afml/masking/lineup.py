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

from afml.masking.mosaics import mosaics
from afml.masking.networks.features import PanelStatistics
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


@dataclass(frozen=True)
class SiteInputs:
    """What the networks know of the sites: public.

    Attributes:
        statistics: Panel statistics.
        annotations: Annotation channels, [sites, A].
    """

    statistics: PanelStatistics
    annotations: NDArray[np.float32]

    def channels(self, dosage: NDArray[np.int8]) -> torch.Tensor:
        """Input of the Masking Network: standardised dosage, called flag, annotations. [people, 2 + A, sites]"""
        people, sites = dosage.shape
        out = np.empty((people, 2 + self.annotations.shape[1], sites), np.float32)
        out[:, 0] = self.statistics.standardise(dosage)
        out[:, 1] = dosage >= 0
        out[:, 2:] = self.annotations.T
        return torch.from_numpy(out)


@dataclass(frozen=True)
class LineupShape:
    """Size and noise of a line-up.

    Attributes:
        lineup: Candidates K.
        error: Genotyping error of reference profiles.
    """

    lineup: int
    error: float


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
    sites: SiteInputs,
    score: NDArray[np.float64],
    shape: LineupShape,
    batch: int,
    rng: np.random.Generator,
) -> Lineup:
    """A batch of public people.

    Args:
        pool: Public people.
        sites: What is known of the sites.
        score: Standardised risk scores of the pool's people, [pool].
        shape: Candidates and genotyping error.
        batch: People in the batch.
        rng: Seeded generator.
    """
    chosen = rng.integers(len(pool), size=batch)
    # A decoy is anybody else: an offset of 1 .. pool - 1 never comes back to the person.
    decoys = (chosen[:, None] + rng.integers(1, len(pool), size=(batch, shape.lineup - 1))) % len(pool)
    record = pool.people[chosen]
    own = reference_profile(record, shape.error, rng.random(record.shape, dtype=np.float32))
    candidates = np.concatenate([own[:, None], pool.profiles[decoys]], axis=1)
    uniform = rng.random(record.shape, dtype=np.float32)
    return _assemble(sites, record, candidates, uniform, score[chosen])


def private_lineup(
    dosage: NDArray[np.int8],
    streams: list[RandomSource],
    pool: DecoyPool,
    sites: SiteInputs,
    score: NDArray[np.float64],
    shape: LineupShape,
) -> Lineup:
    """A batch of private people, each with a random stream of their own.

    Args:
        dosage: Records, [people, sites].
        streams: One random source per person.
        pool: Public people, the only decoys.
        sites: What is known of the sites.
        score: Standardised risk scores, [people].
        shape: Candidates and genotyping error.
    """
    count = dosage.shape[1]
    uniform = np.empty(dosage.shape, np.float32)
    candidates = np.empty((len(dosage), shape.lineup, count), np.int8)
    for row, stream in enumerate(streams):
        draw = stream.uniform(2 * count + shape.lineup - 1)
        uniform[row] = draw[:count]
        candidates[row, 0] = reference_profile(dosage[row], shape.error, draw[count : 2 * count])
        candidates[row, 1:] = pool.profiles[(draw[2 * count :] * len(pool)).astype(np.int64)]
    return _assemble(sites, dosage, candidates, uniform, score)


def _assemble(
    sites: SiteInputs,
    record: NDArray[np.int8],
    candidates: NDArray[np.int8],
    uniform: NDArray[np.float32],
    score: NDArray[np.float64],
) -> Lineup:
    people, lineup, count = candidates.shape
    standard = sites.statistics.standardise(candidates.reshape(-1, count)).reshape(people, lineup, count)
    mean = sites.statistics.mean.astype(np.float32)
    filled = np.where(candidates < 0, mean, candidates).astype(np.float32)
    return Lineup(
        dosage=torch.from_numpy(np.maximum(record, 0).astype(np.float32)),
        channels=sites.channels(record),
        candidates=torch.from_numpy(filled),
        candidates_standard=torch.from_numpy(standard),
        uniform=torch.from_numpy(uniform),
        score=torch.from_numpy(score.astype(np.float32)),
    )
