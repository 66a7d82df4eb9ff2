"""What privacy costs in a training step: time and memory of a DP step against the plain step.

The plain step computes the same gradient of the summed loss without per-person gradients, clipping or
noise, in the same micro-batches, of the same features or line-ups. Each variant runs in a process of its own,
on one thread, so that its peak memory is its own. `benchmarks.privacy` takes the figures into its section.
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

from afml.models.risk import RiskModel, with_constant
from afml.training.game import Game, micro_batch
from afml.training.lineup import private_lineup
from afml.training.losses import identification_loss
from afml.training.program import Cohort, Program
from afml.training.risk import micro_batch as risk_micro_batch
from afml.training.risk import risk_loss
from benchmarks.configuration import bench_config
from crypto.public.random import source

SITES, PEOPLE, GAME_PEOPLE, REPEATS = 10_000, 500, 40, 5


class _Sites:
    annotations = np.full((SITES, 4), 0.5, np.float32)
    drawn_people, drawn_note = 0, ""

    def __len__(self) -> int:
        return SITES


def _program() -> tuple[Program, Cohort]:
    rng = np.random.default_rng(1)
    config = bench_config(SITES, PEOPLE, game_rate=1.0, steps=0)
    frequency = rng.uniform(0.05, 0.5, SITES)
    panel = rng.binomial(2, frequency, size=(100, SITES)).astype(np.int8)
    people = rng.binomial(2, frequency, size=(PEOPLE, SITES)).astype(np.int8)
    program = Program(config, _Sites(), panel)
    return program, Cohort(people, rng.integers(0, 2, PEOPLE).astype(np.int8))


def _plain_risk(program: Program, cohort: Cohort) -> None:
    model = RiskModel(SITES)
    rows = risk_micro_batch(model)
    for start in range(0, len(cohort), rows):
        part = slice(start, start + rows)
        features = torch.from_numpy(program.statistics.features(cohort.dosage[part]))
        loss = risk_loss(model(with_constant(features, program.statistics.variance)), cohort.phenotype[part])
        torch.autograd.backward(loss)


def _plain_game(program: Program, cohort: Cohort, game: Game) -> None:
    settings, rows = program.config.game, micro_batch(SITES, program.config.game.private_lineup)
    parameters, id_parameters = list(game.block.parameters()), list(game.identifier.parameters())
    for start in range(0, len(cohort), rows):
        part = cohort.dosage[start : start + rows]
        batch = private_lineup(
            part,
            [source(1, person) for person in range(len(part))],
            program._decoys,
            program.statistics,
            program.annotations,
            np.zeros(len(part)),
            lineup=settings.private_lineup,
            error=settings.genotype_error,
        )
        mask, shown, decoded = game.mask(batch)
        logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
        masking = game.losses(batch, mask, decoded, logits, settings.adversary_weight).sum()
        torch.autograd.grad(masking, parameters, retain_graph=True)
        torch.autograd.grad(identification_loss(logits).sum(), id_parameters)


def _measure(variant: str) -> dict[str, float]:
    torch.set_num_threads(1)
    program, cohort = _program()
    if "game" in variant:
        program.load_public(program.train_public())
        cohort = Cohort(cohort.dosage[:GAME_PEOPLE], cohort.phenotype[:GAME_PEOPLE])
    game = program._new_game()
    steps = {
        "risk-plain": lambda: _plain_risk(program, cohort),
        "risk-dp": lambda: program.private_update(0, cohort, source(1), 5.0),
        "game-plain": lambda: _plain_game(program, cohort, game),
        "game-dp": lambda: program.private_update(1, cohort, source(1), 5.0),
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
