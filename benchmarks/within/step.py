"""Processor seconds of a node's private step at 1,024 sites, as one JSON line.

`benchmarks.paired` runs this in a checkout of its choice, on one thread. Each step, of the risk model and of the game,
is the clipped sum of everybody and the move along it. Two layouts of the training code are known: the present one,
where masking is a task (`afml.masking`), and that of commit 59512c7, where everything trained was one `Program` in
`afml.training`.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afml.genomics.sites import SitePanel
from crypto.public.random import source

SITES, PANEL, PEOPLE, GAME_PEOPLE = 1024, 100, 500, 40
RISK_PHASE, GAME_PHASE = 0, 1
REPEATS = {"risk": 101, "game": 7}
PROGRAM = Path("afml/training/program.py")  # in the checkout, which is the working directory
Step = Callable[[], None]


def site_panel() -> SitePanel:
    return SitePanel(
        chrom=["22"] * SITES, pos=np.arange(1, SITES + 1), ref=["A"] * SITES, alt=["G"] * SITES,
        minor_is_alt=np.ones(SITES, bool), maf=np.full(SITES, 0.25), annotations=np.full((SITES, 4), 0.5, np.float32),
    )  # fmt: skip


def data() -> tuple[Any, Any, Any]:
    """Panel [panel people, sites], people [people, sites], cases [people]."""
    rng = np.random.default_rng(1)
    frequency = rng.uniform(0.05, 0.5, SITES)
    panel, people = (rng.binomial(2, frequency, size=(n, SITES)).astype(np.int8) for n in (PANEL, PEOPLE))
    return panel, people, rng.integers(0, 2, PEOPLE).astype(np.int8)


def steps_of_tasks() -> dict[str, Step]:
    """Steps of a masking task."""
    from afml.masking.enrolled import Enrolled
    from afml.masking.kind import masking_task
    from afml.training.step import Trainer
    from benchmarks.configuration import bench_run

    run, (panel, people, cases) = bench_run(SITES, PEOPLE, game_rate=1.0, steps=0), data()
    task = masking_task(run, site_panel(), panel)
    task.load_public(task.train_public())

    def step(phase: int, count: int) -> None:
        trainer = Trainer(run, task, Enrolled(people[:count], cases[:count]))
        task.apply(phase, trainer.clipped_sum(phase, np.arange(count), source(1)), count)

    return {"risk": lambda: step(RISK_PHASE, PEOPLE), "game": lambda: step(GAME_PHASE, GAME_PEOPLE)}


def steps_of_programs() -> dict[str, Step]:
    """Steps of a `Program`."""
    programs = importlib.import_module("afml.training.program")
    bench_config = importlib.import_module("benchmarks.configuration").bench_config
    panel, people, cases = data()
    program = programs.Program(bench_config(SITES, PEOPLE, game_rate=1.0, steps=0), site_panel(), panel)
    program.load_public(program.train_public())

    def step(phase: int, count: int) -> None:
        cohort = programs.Cohort(people[:count], cases[:count])
        program.apply(phase, program.clipped_sum(phase, cohort, np.arange(count), source(1)), count)

    return {"risk": lambda: step(RISK_PHASE, PEOPLE), "game": lambda: step(GAME_PHASE, GAME_PEOPLE)}


def cpu_seconds(step: Step, repeats: int) -> float:
    """Median over `repeats`, after one step that is not counted."""
    step()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    steps = steps_of_programs() if PROGRAM.exists() else steps_of_tasks()
    print(json.dumps({f"{name}_step_cpu_s": cpu_seconds(step, REPEATS[name]) for name, step in steps.items()}))
