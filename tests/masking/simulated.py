"""Small simulated people for the tests of models and training. No real genotype is in this repository."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Budget, Phase, RunConfig
from afml.genomics.sites import SitePanel
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task
from afml.masking.settings import GAME, RISK, GameSettings, ReleaseSettings
from afml.masking.task import MaskingTask
from tests.masking_runs import masking_run

#: Which phase of `config` is which.
RISK_PHASE, GAME_PHASE = 0, 1


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
    common = {"clip_norm": 1.0, "noise_multiplier": 2.0}
    values: dict[str, object] = {
        "run": "test",
        "consortium": "test",
        "sites": sites,
        "enrolled": dict.fromkeys(range(1, nodes + 1), people),
        "quorum": nodes,
        "budget": Budget(delta=1e-5, ple_sigma=1.0),
        "phases": (
            Phase(name=RISK, rounds=2, sample_rate=1.0, learning_rate=0.003, **common),
            Phase(name=GAME, rounds=1, sample_rate=0.5, learning_rate=0.01, **common),
        ),
        "game": GameSettings(steps=3, batch=8, lineup=4, private_lineup=3, windows=8),
        "release": ReleaseSettings(min_group_size=5),
        "seed": seed,
    }
    return masking_run(**(values | changes))  # type: ignore[arg-type]


def enrolled(sites: int, people: int, nodes: int = 3) -> dict[int, Enrolled]:
    """Node -> its people."""
    made = {}
    for node in range(1, nodes + 1):
        dosage = dosages(people, sites, seed=node)
        made[node] = Enrolled(dosage, phenotype(dosage, node))
    return made


def sites_panel(sites: int, *, drawn_people: int = 0) -> SitePanel:
    """Sites far apart on two contigs, with random annotations."""
    return SitePanel(
        chrom=["1"] * (sites // 2) + ["2"] * (sites - sites // 2),
        pos=np.arange(sites, dtype=np.int64) * 5_000_000,
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=np.ones(sites, np.bool_),
        maf=np.full(sites, 0.25),
        annotations=np.random.default_rng(3).random((sites, 4), dtype=np.float32),
        drawn_people=drawn_people,
    )


def small_task(run: RunConfig, *, panel_people: int = 60, seed: int = 0) -> MaskingTask:
    """The task of a small run over a panel of so many people."""
    sites = run.data.features
    return masking_task(run, sites_panel(sites), dosages(panel_people, sites, seed=seed))
