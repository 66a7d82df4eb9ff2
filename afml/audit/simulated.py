"""A made-up consortium for audits without any data: what is attacked is the mechanism, not the genomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.audit.subject import Subject
from afml.consortium.run import Budget, Phase, RunConfig
from afml.genomics.sites import SitePanel
from afml.masking.chosen import genotypes, masking_choice
from afml.masking.enrolled import Enrolled
from afml.masking.plan import parameter_counts
from afml.masking.settings import GAME, RISK, MaskingSettings
from afml.privacy.noise import with_fewest_bits


@dataclass(frozen=True)
class Size:
    """Of a made-up consortium: institutions, enrolled people of each, sites, people of the public panel."""

    nodes: int = 5
    people: int = 300
    sites: int = 1024
    panel_people: int = 200


def simulate(seed: int, size: Size | None = None, *, rounds: int = 20, ple_sigma: float = 0.9) -> Subject:
    """Unlinked sites in Hardy-Weinberg proportions and phenotypes by coin toss.

    Args:
        seed: Of genotypes and phenotypes; noise comes from the operating system.
        size: How many of everything.
        rounds: Full-batch rounds of the risk model, which come to `ple_sigma`; one round of the game is added.
        ple_sigma: Target of the risk phase, in sigma.
    """
    size = size or Size()
    people, sites = size.people, size.sites
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
    settings = MaskingSettings()
    risk, game = parameter_counts(sites, settings)
    run = RunConfig(
        run="simulated",
        consortium="simulated",
        task=masking_choice(settings),
        data=genotypes(panel.digest(), sites),
        public_part=True,
        enrolled=dict.fromkeys(range(1, size.nodes + 1), people),
        quorum=size.nodes,
        budget=Budget(delta=1e-5, ple_sigma=1.0),
        phases=(
            Phase(name=RISK, rounds=rounds, sample_rate=1.0, noise_multiplier=rounds**0.5 / ple_sigma,
                  learning_rate=0.003, parameters=risk, clip_norm=1.0),
            Phase(name=GAME, rounds=1, sample_rate=0.1, noise_multiplier=2.0, learning_rate=0.05,
                  parameters=game, clip_norm=1.0, needs_public=True),
        ),
    )  # fmt: skip
    config = with_fewest_bits(run)
    enrolled = {node: Enrolled(dosage(people), rng.integers(2, size=people).astype(np.int8)) for node in config.nodes}
    return Subject(config, panel, dosage(size.panel_people), enrolled)
