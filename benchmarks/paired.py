"""Two checkouts measured side by side on this machine: how much slower or faster one is than the other.

    python -m benchmarks.paired OLD_CHECKOUT NEW_CHECKOUT [--pairs 20] [--only round]

Figures: a node's private step of the risk model and of the game (`within/step.py`), encoding and decoding 1M parameters
(`within/codec.py`), a deployed round of 1M parameters with five nodes (`within/round.py`). Each measurement is a
process of its own, started inside the checkout with PYTHONPATH set to it, under this interpreter. Within a pair both
checkouts are measured right after each other, in the order old-new, new-old, old-new, ..., so that a drift of the
machine cancels. Reported is the median over pairs of new/old, with a 95 % bootstrap interval of that median.

The scripts in `within` are this checkout's and know the present layout of the product and that of commit 59512c7;
they say so themselves where they take one or the other way. Twenty pairs take about twenty minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from afml.core.files import write_bytes

OUT = Path("build/paired.json")
WITHIN = Path(__file__).parent / "within"
SCRIPTS = ("step", "codec", "round")
RESAMPLES, SEED, COVERAGE = 10_000, 1, 0.95


@dataclass(frozen=True)
class Comparison:
    """One figure of both checkouts.

    Attributes:
        pairs: How many.
        old_s: Median seconds of the old checkout.
        new_s: Median seconds of the new one.
        ratio: Median over pairs of new / old.
        low: Lower end of the interval of `ratio`.
        high: Upper end.
    """

    pairs: int
    old_s: float
    new_s: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: list[tuple[float, float]]) -> Comparison:
        """Percentile bootstrap over (old, new) seconds of pairs; the same pairs give the same interval."""
        old, new = np.array(pairs).T
        logs = np.log(new / old)
        drawn = np.random.default_rng(SEED).integers(len(logs), size=(RESAMPLES, len(logs)))
        tail = (1 - COVERAGE) / 2
        low, high = np.quantile(np.median(logs[drawn], axis=1), (tail, 1 - tail))
        ratio, low, high = (round(float(np.exp(value)), 4) for value in (np.median(logs), low, high))
        return cls(len(pairs), statistics.median(old.tolist()), statistics.median(new.tolist()), ratio, low, high)

    def __str__(self) -> str:
        return (
            f"new / old = {self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}] over {self.pairs} pairs "
            f"({self.old_s:.4f} s, {self.new_s:.4f} s)"
        )


def inside(checkout: Path, *command: str) -> str:
    """What a Python process inside a checkout prints last.

    Raises:
        RuntimeError: It failed.
    """
    env = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # -P: the script's own folder stays off the path, where a module of it could stand in for a checkout's.
    done = subprocess.run([sys.executable, "-P", *command], capture_output=True, text=True, cwd=checkout, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed in {checkout}\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def require_checkout(folder: Path) -> str:
    """Its commit, "-dirty" where files differ from it.

    Raises:
        SystemExit: A process started there would not import the folder's own code.
    """
    try:
        found = Path(inside(folder, "-c", "import afml; print(afml.__file__)")).resolve()
    except (OSError, RuntimeError):
        found = Path()
    if not found.is_relative_to(folder):
        raise SystemExit(f"paired: {folder} is not a checkout of AFML; give the folder that holds afml/")
    named = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
    )
    return named.stdout.strip() or "unknown"


def measured(
    old: Path, new: Path, count: int, scripts: Sequence[str] = SCRIPTS
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of every figure, (old, new) of each pair."""
    found: dict[str, list[tuple[float, float]]] = {}
    for pair in range(count):
        for script in scripts:
            seconds: dict[Path, dict[str, float]] = {}
            for checkout in (old, new) if pair % 2 == 0 else (new, old):
                seconds[checkout] = json.loads(inside(checkout, str(WITHIN / f"{script}.py")))
            for name, before in seconds[old].items():
                found.setdefault(name, []).append((before, seconds[new][name]))
        shown = "  ".join(f"{name} {values[-1][1] / values[-1][0]:.3f}" for name, values in found.items())
        print(f"pair {pair + 1}/{count}: {shown}", flush=True)
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paired")
    parser.add_argument("old", type=Path, help="folder of the old checkout")
    parser.add_argument("new", type=Path, help="folder of the new checkout")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", choices=SCRIPTS, nargs="+", default=SCRIPTS, help="figures of these scripts alone")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    old, new = arguments.old.resolve(), arguments.new.resolve()
    if arguments.pairs < 2 or old == new:
        parser.error("give two folders and at least 2 pairs")
    commits = {"old": require_checkout(old), "new": require_checkout(new)}
    figures = {
        name: Comparison.of(pairs) for name, pairs in measured(old, new, arguments.pairs, arguments.only).items()
    }
    whole = commits | {"figures": {name: asdict(one) for name, one in figures.items()}}
    write_bytes(arguments.out, (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())
    for name, one in figures.items():
        print(f"  {name}: {one}")


if __name__ == "__main__":
    main()
