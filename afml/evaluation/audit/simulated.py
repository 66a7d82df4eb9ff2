"""A made-up consortium for audits without any data: what is attacked is the mechanism, not the genomes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.run import Budget, Phase, RunConfig
from afml.genomics.sites import SitePanel
from afml.training.program import Cohort, parameter_counts


class Simulated(NamedTuple):
    """Inputs of `audit_run` and `mechanism_test`."""

    config: RunConfig
    panel: SitePanel
    panel_dosage: NDArray[np.int8]
    cohorts: dict[int, Cohort]


def simulate(
    seed: int, *, nodes: int = 5, people: int = 300, sites: int = 1024, panel_people: int = 200,
    rounds: int = 20, ple_sigma: float = 0.9,
) -> Simulated:  # fmt: skip
    """Unlinked sites in Hardy-Weinberg proportions and phenotypes by coin toss.

    Args:
        seed: Of genotypes and phenotypes; noise comes from the operating system.
        nodes: Institutions.
        people: Enrolled people of each.
        sites: Sites of the panel.
        panel_people: People of the public panel.
        rounds: Full-batch rounds of the risk model, which come to `ple_sigma`; one round of the game is added.
        ple_sigma: Target of the risk phase, in sigma.
    """
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.2, 0.5, sites)

    def dosage(count: int) -> NDArray[np.int8]:
        return rng.binomial(2, frequency, size=(count, sites)).astype(np.int8)

    panel = SitePanel(
        chrom=["1"] * sites,
        pos=1000 + 100 * np.arange(sites, dtype=np.int64),
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=np.ones(sites, np.bool_),
        maf=frequency,
        annotations=np.column_stack([frequency, np.zeros((sites, 3))]).astype(np.float32),
    )
    risk, game = parameter_counts(sites, panel.annotations.shape[1])
    config = RunConfig(
        run="simulated",
        consortium="simulated",
        site_panel=panel.digest(),
        sites=sites,
        enrolled=dict.fromkeys(range(1, nodes + 1), people),
        quorum=nodes,
        budget=Budget(delta=1e-5, ple_sigma=1.0),
        phases=(
            Phase(name="risk", rounds=rounds, sample_rate=1.0, noise_multiplier=rounds**0.5 / ple_sigma,
                  learning_rate=0.003, parameters=risk, clip_norm=1.0),
            Phase(name="game", rounds=1, sample_rate=0.1, noise_multiplier=2.0, learning_rate=0.05,
                  parameters=game, clip_norm=1.0),
        ),
    )  # fmt: skip
    cohorts = {node: Cohort(dosage(people), rng.integers(2, size=people).astype(np.int8)) for node in config.nodes}
    return Simulated(config, panel, dosage(panel_people), cohorts)
