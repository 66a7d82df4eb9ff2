"""Small simulated cohorts for the tests of models and training. No real genotype is in this repository."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.run import Budget, GameSettings, Phase, ReleaseSettings, RunConfig
from afml.training.program import Cohort


@dataclass
class Sites:
    """What `Program` reads of a site panel."""

    annotations: NDArray[np.float32]
    drawn_people: int = 0
    drawn_note: str = ""

    @property
    def chrom(self) -> list[str]:
        """Two contigs."""
        return ["1"] * (len(self) // 2) + ["2"] * (len(self) - len(self) // 2)

    @property
    def pos(self) -> NDArray[np.int64]:
        """Far apart."""
        return np.arange(len(self), dtype=np.int64) * 5_000_000

    def __len__(self) -> int:
        return len(self.annotations)


def dosages(people: int, sites: int, seed: int, *, missing: float = 0.02) -> NDArray[np.int8]:
    """Dosages with LD between neighbours, two ancestries and missing calls."""
    rng = np.random.default_rng(seed)
    frequency = np.random.default_rng(99).uniform(0.1, 0.5, size=(2, sites))
    ancestry = rng.integers(2, size=people)
    latent = rng.normal(size=(2, people, sites))
    for site in range(1, sites):
        latent[:, :, site] = 0.6 * latent[:, :, site - 1] + 0.8 * latent[:, :, site]
    uniform = np.argsort(np.argsort(latent, axis=1), axis=1) / people
    out = (uniform < frequency[ancestry]).sum(axis=0).astype(np.int8)
    out[rng.random(out.shape) < missing] = -1
    return out


def phenotype(dosage: NDArray[np.int8], seed: int, causal: int = 3) -> NDArray[np.int8]:
    """Liability above its median over a few causal sites, the same ones for every seed."""
    rng = np.random.default_rng(seed)
    sites = np.random.default_rng(5).choice(dosage.shape[1], causal, replace=False)
    liability = np.maximum(dosage[:, sites], 0).sum(axis=1) + rng.normal(size=len(dosage))
    return (liability > np.median(liability)).astype(np.int8)


def config(sites: int, people: int, *, nodes: int = 3, seed: int | None = 7, **changes: object) -> RunConfig:
    """A small run: two risk rounds, one game round."""
    values: dict[str, object] = {
        "run": "test",
        "consortium": "test",
        "site_panel": "00",
        "sites": sites,
        "enrolled": dict.fromkeys(range(1, nodes + 1), people),
        "quorum": nodes,
        "budget": Budget(delta=1e-5, ple_sigma=1.0),
        "phases": (
            Phase(
                name="risk",
                rounds=2,
                sample_rate=1.0,
                clip_norm=1.0,
                noise_multiplier=2.0,
                learning_rate=0.003,
            ),
            Phase(
                name="game",
                rounds=1,
                sample_rate=0.5,
                clip_norm=1.0,
                noise_multiplier=2.0,
                learning_rate=0.01,
            ),
        ),
        "game": GameSettings(steps=3, batch=8, lineup=4, private_lineup=3, windows=8),
        "release": ReleaseSettings(min_group_size=5),
        "seed": seed,
    }
    return RunConfig(**(values | changes))  # type: ignore[arg-type]


def cohorts(sites: int, people: int, nodes: int = 3) -> dict[int, Cohort]:
    """One cohort per node."""
    made = {}
    for node in range(1, nodes + 1):
        dosage = dosages(people, sites, seed=node)
        made[node] = Cohort(dosage, phenotype(dosage, node))
    return made


def sites_panel(sites: int) -> Sites:
    """Random annotations."""
    return Sites(np.random.default_rng(3).random((sites, 4), dtype=np.float32))
