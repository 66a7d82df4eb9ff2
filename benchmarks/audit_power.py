"""How often the declared audit refutes noise that is short, and noise that is not: `make audit-power`, half an hour.

Every trial is a whole audit of the demo's mechanism, in fewer rounds of as much noise in all and at fewer sites, with
fixed seeds, through the product's own rounds with the noise of `afml.training.step` scaled. Results go into
results/audit.json, a world at a time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from unittest import mock

from afml.audit.declared import DeclaredResult, audit_declared
from afml.core.files import write_bytes
from afml.privacy.noise import node_std
from afml.training import step
from benchmarks.audit import demo_run

SITES, ROUNDS = 128, 4
NOISE = (1.0, 0.85)


def trial(seed: int, noise: float) -> DeclaredResult:
    """One audit where every node draws `noise` of the noise that is accounted."""
    run = demo_run(SITES, ROUNDS, reserve=0).model_copy(update={"seed": seed})
    with mock.patch.object(step, "node_std", lambda config, phase: noise * node_std(config, phase)):
        return audit_declared(run, seed, whole=0)


def world(noise: float, trials: int) -> dict[str, object]:
    """All trials of one noise."""
    found = []
    for seed in range(1, trials + 1):
        found.append(trial(seed, noise))
        if seed % 10 == 0:
            print(f"noise {noise:g}: {seed} of {trials}, refuted {sum(not one.sound for one in found)}", flush=True)
    bounds = [one.mu_lower for one in found]
    first = found[0]
    return {
        "trials": trials,
        "refuted": sum(not one.sound for one in found),
        "mu_lower": [round(value, 3) for value in (min(bounds), sum(bounds) / trials, max(bounds))],
        "mu_attacked": round(first.mu_attacked, 3),
        "confidence": first.confidence,
        "canaries": first.canaries,
        "repeats": first.repeats,
        "rounds": first.rounds,
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_power", description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE, help="of what is accounted")
    parser.add_argument("--out", type=Path, default=Path("results/audit.json"))
    arguments = parser.parse_args()
    for noise in arguments.noise:
        figures = world(noise, arguments.trials)
        whole = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        whole[f"noise {noise:g}"] = figures
        write_bytes(arguments.out, (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())
        print(f"noise {noise:g}: {figures}", flush=True)


if __name__ == "__main__":
    main()
