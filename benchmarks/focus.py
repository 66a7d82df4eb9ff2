"""`python -m benchmarks.focus`: small consortia with and without a focus of the risk rounds, at the same PLE.

Paired runs of the product's own risk rounds on simulated genotypes and traits: the same people, trait and seed of the
noise, measured at all sites in every round, or by default (`afml configure --focus`). SIMULATION: noise is seeded.
Each cell gives the mean ratio of the AUC that the released file keeps of raw genotypes', and that of the unmasked score
in ten bins, without and with focus, and the mean difference of each with its 95 % interval (Student). Seeds are below
1000; what a focus is was chosen on others. Writes focus.json and focus.md.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from afml.core.children import usable_processors
from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.masking.settings import FOCUS, GameSettings
from afml.study.data import DataSettings, StudyData, load
from afml.study.design import GAME_ROUNDS, GAME_SHARE
from afml.study.reproduction import phases
from afml.study.runner import one_thread_each
from afml.study.single import code_digest
from afml.study.small import PRODUCT, Cell, draw, small_run

SITES, POPULATION, PANEL = 1024, 4000, 500
CELLS = tuple(
    Cell("simulated", people, causal, ple)
    for people in (200, 500, 2000)
    for causal in (5, 50)
    for ple in (0.3, 0.9, 1.5)
)
SEEDS = tuple(range(1, 21))
COMMAND = "python -m benchmarks.focus"
_SCORE = "binned 10"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("build/focus"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    given = parser.parse_args()
    one_thread_each()
    _population(given.cache)
    rows = []
    with ProcessPoolExecutor(usable_processors()) as pool:
        for cell in CELLS:
            made = np.array(list(pool.map(_ratios, [cell] * len(SEEDS), SEEDS, [given.cache] * len(SEEDS))))
            rows.append({"cell": cell.name} | judged(made))
            print(rows[-1], flush=True)
    body = {"command": COMMAND, "code": code_digest(), "simulation": SIMULATION, "seeds": list(SEEDS), "cells": rows}
    write_bytes(given.out / "focus.json", (json.dumps(body, indent=1) + "\n").encode())
    write_bytes(given.out / "focus.md", page(rows).encode())


def judged(ratios: NDArray[np.float64]) -> dict[str, Any]:
    """Means and paired differences.

    Args:
        ratios: Of every seed without and with focus, release and score, [seeds, 2, 2].
    """
    found: dict[str, Any] = {}
    for index, what in enumerate(("release", "score")):
        without, focused = ratios[:, 0, index], ratios[:, 1, index]
        gain = focused - without
        half = float(stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / math.sqrt(len(gain)))
        middle = float(gain.mean())
        found[what] = {
            "without": float(without.mean()), "focused": float(focused.mean()), "difference": middle,
            "interval": [middle - half, middle + half],
        }  # fmt: skip
    return found


def page(rows: list[dict[str, Any]]) -> str:
    """The table that people read."""
    lines = [
        "# Small consortia with and without focus", "",
        f"**{SIMULATION}**: the noise of these runs comes from seeds. Made by `{COMMAND}`. People at five nodes, "
        f"simulated genotypes ({SITES} sites) and traits, {len(SEEDS)} seeds; ratios to the AUC of raw genotypes "
        f"without and with `--focus {FOCUS}`, and the paired mean difference with its 95 % interval. Where both "
        "releases are at chance, they are the same file of one pattern.", "",
        "| cell | released | difference [95 %] | score | difference [95 %] |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        parts = [row["cell"]]
        for one in (row["release"], row["score"]):
            low, high = one["interval"]
            parts += [
                f"{one['without']:.3f}, {one['focused']:.3f}",
                f"{one['difference']:+.3f} [{low:+.3f}, {high:+.3f}]",
            ]
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


@cache
def _population(folder: Path) -> StudyData:
    settings = DataSettings(kind="simulated", sites=SITES, people=POPULATION, panel_people=PANEL, split_seed=3)
    return load(settings, source=None, cache=folder)


def _ratios(cell: Cell, seed: int, folder: Path) -> list[list[float]]:
    """In a worker: (release, score) without and with focus."""
    data = _population(folder)
    people = draw(cell, seed, np.concatenate(data.files))
    plan = phases(cell.ple, SITES, GAME_SHARE, GAME_ROUNDS, 1, GameSettings(steps=0))
    runs = [small_run(cell, people, data, plan, focus).reached for focus in (0, FOCUS)]
    return [[reached[PRODUCT].ratio, reached[_SCORE].ratio] for reached in runs]


if __name__ == "__main__":
    main()
