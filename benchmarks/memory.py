"""Peak memory of training at 100,000 sites and 500 people. Figures under "memory".

Each kind of round runs as a node would run it (panel statistics, features or line-ups, gradients, clipping, noise) in
a process of its own, on one thread, on the CPU; the peak is that of the whole process, interpreter and libraries
included, and seconds are of CPU time. The risk round takes all people. The private game round draws `game_people` of
them, and the public game plays one step: micro-batches make their memory the same for any number of people and
steps, and their time grows in proportion.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from numpy.typing import NDArray

from afml.masking.enrolled import Enrolled
from afml.training.step import Trainer
from benchmarks.configuration import GAME_PHASE, RISK_PHASE, bench_run, bench_task
from benchmarks.peak import peak_gb
from crypto.public.random import RandomSource, source

SITES, PEOPLE, PANEL = 100_000, 500, 500
GAME_RATE = 0.01
KINDS = ("risk_round", "game_round", "public_game")
BARS = {f"{kind}_peak_gb": ("<=", 8.0) for kind in KINDS}


def _dosages(people: int, seed: int) -> NDArray[np.int8]:
    frequency = np.random.default_rng(1).uniform(0.05, 0.5, SITES)
    rng, out = np.random.default_rng(seed), np.empty((people, SITES), np.int8)
    for row in out:  # one person at a time: making the data must not set the peak
        row[:] = rng.binomial(2, frequency)
    return out


def _trainer(steps: int) -> Trainer:
    run = bench_run(SITES, PEOPLE, game_rate=GAME_RATE, steps=steps)
    phenotype = np.random.default_rng(4).integers(0, 2, PEOPLE).astype(np.int8)
    return Trainer(run, bench_task(run, _dosages(PANEL, 2)), Enrolled(_dosages(PEOPLE, 3), phenotype))


def _round() -> RandomSource:
    return source(1)


def _measure(kind: str) -> dict[str, float]:
    torch.set_num_threads(1)
    trainer = _trainer(steps=1 if kind == "public_game" else 0)
    started = time.process_time()
    update = trainer.private_update(RISK_PHASE, _round(), 5.0)
    if kind != "risk_round":
        trainer.task.apply(RISK_PHASE, update, PEOPLE)
        started = time.process_time()
        blob = trainer.task.train_public()
    if kind == "game_round":
        trainer.task.load_public(blob)
        started = time.process_time()
        update = trainer.private_update(GAME_PHASE, _round(), 5.0)
    found = {f"{kind}_seconds": round(time.process_time() - started, 1), f"{kind}_peak_gb": peak_gb()}
    return found if kind == "public_game" else found | {f"{kind}_parameters": len(update)}


def run() -> dict[str, object]:
    drawn = int((_round().child("batch").uniform(PEOPLE) < GAME_RATE).sum())
    found: dict[str, object] = {"sites": SITES, "people": PEOPLE, "panel": PANEL, "game_people": drawn}
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.memory", kind]
        env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        found |= json.loads(result.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1])))
