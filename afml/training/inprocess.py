"""The reference trainer: all institutions in one process, exact integer sums, no encryption.

The federation must end with the same bits (in seeded runs); tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.privacy.noise import round_grid
from afml.training.step import Trainer, apply_total
from afml.training.task import Enrolled, Task

Told = Callable[[str, int, int], None]
"""(what, step, steps), what in {"private rounds", "public part"}."""


def train_in_process(
    config: RunConfig, task: Task, enrolled: Mapping[int, Enrolled], progress: Told | None = None
) -> None:
    """Run every phase with everybody.

    Args:
        config: The run configuration.
        task: Trained in place.
        enrolled: Node number -> its enrolled people.
        progress: Told how far it is.

    Raises:
        ConfigError: The people are not those of the configuration.
    """
    if {node: len(people) for node, people in enrolled.items()} != config.enrolled:
        raise ConfigError("the enrolled people do not match the enrolment declared in the run configuration")
    trainers = {node: Trainer(config, task, enrolled[node]) for node in config.nodes}

    def public() -> None:
        note = None if progress is None else (lambda step, steps: progress("public part", step, steps))
        task.load_public(task.train_public(note))

    for round_number in range(1, config.rounds + 1):
        index, phase = config.phase_of(round_number)
        if phase.needs_public and not task.has_public_part:
            public()
        total, grid = np.zeros(task.length(index), np.int64), round_grid(config, round_number)
        for node, trainer in trainers.items():
            update = trainer.update(node, round_number)
            total += update.rounded(grid)
        apply_total(task, config, round_number, config.nodes, total)
        if progress is not None:
            progress("private rounds", round_number, config.rounds)
    if not task.has_public_part:
        public()
