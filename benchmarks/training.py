"""What privacy costs in a training step: time and memory of a DP step against the plain step.

The plain step computes the same gradient of the summed loss without per-person gradients, clipping or
noise, in the same micro-batches, of the same features or line-ups; the DP step also moves the parameters. Each
variant runs in a process of its own, on one thread, so that its peak memory is its own. `benchmarks.privacy` takes the
figures into its section.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from afml.masking.enrolled import Enrolled
from afml.masking.game import Game
from afml.masking.lineup import LineupShape, private_lineup
from afml.masking.losses import identification_loss
from afml.masking.networks.risk import RiskModel
from afml.masking.private_game import micro_batch as lineups_at_once
from afml.masking.risk import micro_batch, risk_inputs, risk_loss
from afml.masking.task import MaskingTask
from afml.training.device import device
from afml.training.step import Trainer
from benchmarks.configuration import GAME_PHASE, RISK_PHASE, bench_run, bench_task
from crypto.public.random import source

SITES, PEOPLE, GAME_PEOPLE, REPEATS = 10_000, 500, 40, 5


def _made() -> tuple[MaskingTask, Enrolled]:
    rng = np.random.default_rng(1)
    frequency = rng.uniform(0.05, 0.5, SITES)
    panel = rng.binomial(2, frequency, size=(100, SITES)).astype(np.int8)
    people = rng.binomial(2, frequency, size=(PEOPLE, SITES)).astype(np.int8)
    task = bench_task(bench_run(SITES, PEOPLE, game_rate=1.0, steps=0), panel)
    return task, Enrolled(people, rng.integers(0, 2, PEOPLE).astype(np.int8))


def _dp_step(task: MaskingTask, enrolled: Enrolled, phase: int) -> None:
    """A node's update and the step along it: the next one begins at other parameters, as in a run."""
    update = Trainer(task.run, task, enrolled).private_update(phase, source(1), 5.0)
    task.apply(phase, update, len(enrolled))


def _plain_risk(task: MaskingTask, enrolled: Enrolled) -> None:
    model = RiskModel(SITES)
    rows = micro_batch(SITES + 1)
    for start in range(0, len(enrolled), rows):
        people = enrolled.rows(np.arange(start, min(start + rows, len(enrolled))))
        loss = risk_loss(model(risk_inputs(task.public.statistics, people)), people.phenotype)
        torch.autograd.backward(loss)


def _plain_game(task: MaskingTask, enrolled: Enrolled, game: Game) -> None:
    settings, public = task.settings.game, task.public
    shape = LineupShape(settings.private_lineup, settings.genotype_error)
    rows = lineups_at_once(SITES, shape.lineup)
    parameters, id_parameters = list(game.block.parameters()), list(game.identifier.parameters())
    for start in range(0, len(enrolled), rows):
        part = enrolled.dosage[start : start + rows]
        streams = [source(1, person) for person in range(len(part))]
        batch = private_lineup(part, streams, public.decoys, public.sites, np.zeros(len(part)), shape)
        mask, shown, decoded = game.mask(batch)
        logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
        masking = game.losses(batch, mask, decoded, logits, settings.adversary_weight).sum()
        torch.autograd.grad(masking, parameters, retain_graph=True)
        torch.autograd.grad(identification_loss(logits).sum(), id_parameters)


def _measure(variant: str) -> dict[str, float]:
    torch.set_num_threads(1)
    task, enrolled = _made()
    if "game" in variant:
        task.load_public(task.train_public())
        enrolled = enrolled.rows(np.arange(GAME_PEOPLE))
    game = Game(SITES, task.public.sites.annotations.shape[1], task.settings.game, device())
    steps = {
        "risk-plain": lambda: _plain_risk(task, enrolled),
        "risk-dp": lambda: _dp_step(task, enrolled, RISK_PHASE),
        "game-plain": lambda: _plain_game(task, enrolled, game),
        "game-dp": lambda: _dp_step(task, enrolled, GAME_PHASE),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS if "risk" in variant else 2):
        start = time.perf_counter()
        steps[variant]()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": float(np.median(seconds)), "mb": peak / 1024, "step_mb": (peak - before) / 1024}


def figures() -> dict[str, object]:
    """Figures of the risk step (500 people x 10,000 sites) and the game step (40 people x 10,000 sites)."""
    measured = {}
    for variant in ("risk-plain", "risk-dp", "game-plain", "game-dp"):
        command = [sys.executable, "-m", "benchmarks.training", variant]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        measured[variant] = json.loads(result.stdout.splitlines()[-1])
    found: dict[str, object] = {"dp_step_people": PEOPLE, "dp_step_sites": SITES}
    for name, prefix in (("risk", "dp_step"), ("game", "game_dp_step")):
        plain, private = measured[f"{name}-plain"], measured[f"{name}-dp"]
        found[f"{prefix}_time_ratio"] = round(private["seconds"] / plain["seconds"], 2)
        found[f"{prefix}_memory_ratio"] = round(private["mb"] / plain["mb"], 2)
        found[f"{prefix}_seconds"] = round(private["seconds"], 3)
        found[f"{prefix}_extra_mb"] = round(private["step_mb"] - plain["step_mb"], 1)
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1])))
