"""Opacus by itself on one node's rows: what a training step costs without any federation.

    python -m benchmarks.opacus_alone NETWORK PEOPLE STEPS

`GradSampleModule` and `DPOptimizer` as Opacus documents them: float32, the batch in one piece. Prints one JSON line:
seconds of every step, peak resident size. Five of them at once stand for five nodes on this machine; a step begins when
the caller writes a line.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch.nn.functional import cross_entropy

from benchmarks.module_data import SHAPES, rows
from benchmarks.tenant.bench_tenant import networks


def main() -> None:
    name, people, steps = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")  # inputs are data
    module = GradSampleModule(getattr(networks, name)())
    sgd = torch.optim.SGD(module.parameters(), lr=0.1)
    optimizer = DPOptimizer(sgd, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=people)
    features, targets = rows(SHAPES[name], people, seed=1)
    seconds = []
    for _ in range(steps):
        sys.stdin.readline()
        start = time.perf_counter()
        predicted = module(torch.from_numpy(features))
        cross_entropy(predicted, torch.from_numpy(targets), reduction="mean").backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
        print("done", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "mb": peak / 1024}), flush=True)


if __name__ == "__main__":
    main()
