"""The reference trainer: all cohorts in one process, exact integer sums, no encryption.

The federation must end with the same bits (in seeded runs); tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.core.run import RunConfig
from afml.privacy.noise import grid_for
from afml.training.model import TrainedModel
from afml.training.program import Cohort, Program
from afml.training.step import apply_total, node_update

if TYPE_CHECKING:
    from afml.genomics.sites import SitePanel


def train_in_process(
    config: RunConfig,
    panel: SitePanel,
    panel_dosage: NDArray[np.int8],
    cohorts: dict[int, Cohort],
    progress: Callable[[str, int, int], None] | None = None,
) -> TrainedModel:
    """Run every phase with every cohort.

    Args:
        config: The run configuration.
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel, [panel people, sites].
        cohorts: Node number -> its enrolled people.
        progress: Called with (what, step, steps), what in {"private rounds", "public game"}.

    Returns:
        The trained model.

    Raises:
        ConfigError: The cohorts are not those of the configuration.
    """
    people = {node: len(cohort) for node, cohort in cohorts.items()}
    if people != config.enrolled:
        raise ConfigError("the cohorts do not match the enrolment declared in the run configuration")
    program = Program(config, panel, panel_dosage)

    def public() -> None:
        note = None if progress is None else (lambda step, steps: progress("public game", step, steps))
        program.load_public(program.train_public(note))

    played = False
    for round_number in range(1, config.rounds + 1):
        _, phase = config.phase_of(round_number)
        if phase.name == "game" and not played:
            public()
            played = True
        total = np.zeros(program.parameters(config.phase_of(round_number)[0]), np.int64)
        for node in config.nodes:
            update = node_update(program, config, cohorts[node], node=node, round_number=round_number)
            total += grid_for(config, phase).grid.quantise(update.values, update.rounding)
        apply_total(program, config, round_number, config.nodes, total)
        if progress is not None:
            progress("private rounds", round_number, config.rounds)
    if not played:
        public()
    return program.model()
