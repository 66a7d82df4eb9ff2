"""`python -m benchmarks.examples --data DATA`: install the examples, make their data, measure, write the results."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.examples.compare import ARMS, put, summary
from benchmarks.examples.example import known

if TYPE_CHECKING:  # it looks for the examples, which are installed first
    from benchmarks.examples.federated import Consortium

RESULTS = Path("results/examples.json")
BUILD = Path("build/examples")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.examples")
    parser.add_argument("example", nargs="*", help="of: " + ", ".join(known()) + " (default: all)")
    parser.add_argument("--data", type=Path, required=True, help="folder with the 1000 Genomes exomes")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=21, help="settings were chosen on others")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--build", type=Path, default=BUILD)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--processes", choices=("too", "alone", "none"), default="too", help="one seed through real processes"
    )
    given = parser.parse_args()
    unknown = set(given.example) - set(known())
    if unknown:
        parser.error(f"no example {', '.join(sorted(unknown))}")
    from benchmarks.examples import ready

    build = given.build.resolve()
    ready.install(build)
    from benchmarks.examples.federated import Consortium
    from benchmarks.examples.measure import Measured

    torch.set_num_threads(1)
    commit = ready.commit()  # before the results are written, which are a tracked file
    for name in given.example or known():
        example = known()[name]
        data = ready.data(example, build, given.data)
        consortium = Consortium(example, data, build / name / "stores")
        if given.processes == "alone":
            entry = json.loads(given.out.read_text())[name]
            put(given.out, name, entry | _processes(consortium, data, build, given.first_seed, commit))
            continue
        measured = Measured(consortium, build / "runs", commit)
        scores = {}
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            scores[seed] = measured.scores(seed, tuple(given.arms))
            told = "  ".join(f"{arm} {value:.4f}" for arm, value in scores[seed].items())
            print(f"{name} seed {seed}: {told}", flush=True)
        if tuple(given.arms) != ARMS or given.seeds < 2:
            continue
        facts = measured.facts() | {"commits": measured.commits(scores)}
        entry = summary(example.metric, scores, facts)
        put(given.out, name, entry)  # before what may fail on a busy machine
        if given.processes == "too":
            entry |= _processes(consortium, data, build, given.first_seed, commit)
            put(given.out, name, entry)
        for bar, met in entry["bars"].items():
            print(f"  {name}: {bar}: {'met' if met else 'MISSED'}", flush=True)


def _processes(consortium: Consortium, data: Path, build: Path, seed: int, commit: str) -> dict[str, Any]:
    """What one seed comes to when every party is a process, and the commit that it was run at."""
    from benchmarks.examples.deployed import same_bits

    found = same_bits(consortium, data, build / consortium.example.name / "processes", seed)
    print(f"{consortium.example.name} seed {seed} through processes: the reference's bits", flush=True)
    return {"processes": found | {"commit": commit}}


if __name__ == "__main__":
    main()
