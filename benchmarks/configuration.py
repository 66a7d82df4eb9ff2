"""What the training benchmarks measure: a masking run of three nodes with one round of each phase, and its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Budget, Phase, RunConfig
from afml.genomics.sites import SitePanel
from afml.masking.chosen import genotypes, masking_choice
from afml.masking.settings import GAME, RISK, GameSettings, MaskingSettings

if TYPE_CHECKING:
    from afml.masking.task import MaskingTask

#: Indices of the phases.
RISK_PHASE, GAME_PHASE = 0, 1


def bench_run(sites: int, people: int, *, game_rate: float, steps: int) -> RunConfig:
    """A run that nothing is released of.

    Args:
        sites: Sites of the panel.
        people: Enrolled at each node.
        game_rate: Sample rate of the private game round; the risk round takes everybody.
        steps: Steps of the game on the panel.
    """
    phases = tuple(
        Phase(
            name=name, rounds=1, sample_rate=rate, clip_norm=1.0, noise_multiplier=5.0, learning_rate=0.003,
            needs_public=name == GAME,
        )
        for name, rate in ((RISK, 1.0), (GAME, game_rate))
    )  # fmt: skip
    return RunConfig(
        run="bench",
        consortium="bench",
        task=masking_choice(MaskingSettings(game=GameSettings(steps=steps))),
        data=genotypes("00", sites),
        public_part=True,
        enrolled=dict.fromkeys(range(1, 4), people),
        quorum=3,
        budget=Budget(delta=1e-5, ple_sigma=1.0),
        phases=phases,
        seed=1,
    )


def bench_task(run: RunConfig, panel_dosage: NDArray[np.int8]) -> MaskingTask:
    """The task of such a run over made-up sites.

    Args:
        run: Of `bench_run`.
        panel_dosage: [panel people, sites].
    """
    from afml.masking.kind import masking_task  # brings torch, which masking a file does without

    sites = run.data.features
    panel = SitePanel(
        chrom=["1"] * sites,
        pos=np.arange(1, sites + 1, dtype=np.int64),
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=np.ones(sites, np.bool_),
        maf=np.full(sites, 0.25),
        annotations=np.full((sites, 4), 0.5, np.float32),
    )
    return masking_task(run, panel, panel_dosage)
