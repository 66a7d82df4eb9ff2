"""Entry point of the experiment: theory, tuning seeds, trial seeds, page."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.study.single import code_digest
from benchmarks.sharper.ground import Cell, Ground
from benchmarks.sharper.page import page
from benchmarks.sharper.theory import table
from benchmarks.sharper.trial import Row, Seeds, best_of_each
from benchmarks.sharper.variants import BASE, VARIANTS

TARGET = Cell(50, 0.5)
CELLS = (TARGET, Cell(20, 0.5), Cell(5, 0.5), Cell(50, 0.9), Cell(20, 0.9), Cell(5, 0.9))
TUNING, TRIAL = tuple(range(1000, 1020)), tuple(range(1, 21))
#: Seeds on which the product's own rounds are played, and releases made.
PLAYED = 10
#: What became an option of the product (`afml configure --focus`), and the variant that is like it here.
FOCUS, BUILT = 64, "focus 10:256-15:64"
COMMAND = "python -m benchmarks.sharper --data FOLDER"


def main() -> None:
    """Measure and write sharper.json and sharper.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharper", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real exomes")
    parser.add_argument("--cache", type=Path, default=Path("build/sharper"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    given = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    ground = Ground.of(given.data, given.cache)
    phase, std = ground.planned(TARGET)
    mechanism = std / phase.rounds**0.5
    body: dict[str, Any] = {
        "command": COMMAND, "code": code_digest(), "simulation": SIMULATION,
        "theory": table(len(ground.inputs), mechanism, ground.sites, TARGET.causal),
    }  # fmt: skip
    tuned = Seeds.of(ground, TARGET, TUNING).rows(list(VARIANTS), say)
    chosen = list(dict.fromkeys([*best_of_each(tuned), BUILT]))
    body["tuning"] = {"seeds": list(TUNING), "rows": stored(tuned)}
    body["trial"] = {"seeds": list(TRIAL), "cells": {}}
    for cell in CELLS:
        seeds = Seeds.of(ground, cell, TRIAL)
        body["trial"]["cells"][cell.name] = stored(seeds.rows(chosen, say))
        if cell == TARGET:
            without, focused = (seeds.played(focus, PLAYED, say) for focus in (0, FOCUS))
            body["product"] = {"seeds": PLAYED, "focus": FOCUS} | {
                what: stored({BASE: Row.of(plain, plain), BUILT: Row.of(built, plain)})
                for what, plain, built in zip(("score", "release"), without, focused, strict=True)
            }
    given.out.mkdir(parents=True, exist_ok=True)
    write_bytes(given.out / "sharper.json", (json.dumps(body, indent=1) + "\n").encode())
    write_bytes(given.out / "sharper.md", page(body).encode())


def stored(rows: dict[str, Row]) -> dict[str, Any]:
    """For the file."""
    return {name: row.stored for name, row in rows.items()}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
