"""The masking task keeps the contract of all tasks, in both its phases."""

from __future__ import annotations

import numpy as np

from afml.masking.kind import MASKING
from afml.masking.task import MaskingTask
from tests.masking.simulated import config, enrolled, small_task
from tests.training.contract import keeps_the_contract

SITES, PEOPLE = 16, 6


def test_the_masking_task() -> None:
    run = config(SITES, PEOPLE)
    lengths = MASKING.lengths(run)
    phases = [phase.model_copy(update={"parameters": n}) for phase, n in zip(run.phases, lengths, strict=True)]
    run = run.model_copy(update={"phases": tuple(phases)})
    public = small_task(run).train_public()

    def fresh() -> MaskingTask:
        task = small_task(run)
        task.load_public(public)
        return task

    keeps_the_contract(fresh, run, enrolled(SITES, PEOPLE)[1].rows(np.arange(PEOPLE)))
