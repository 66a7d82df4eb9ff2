"""The trial of small consortia: a rival fixed on other seeds, paired differences, and an interval in every cell."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.masking.settings import GameSettings
from afml.study import small
from afml.study.data import DataSettings, StudyData, exomes, file_digest, load
from afml.study.design import GAME_ROUNDS, GAME_SHARE
from afml.study.reproduction import phases
from afml.study.runner import one_thread_each
from afml.study.single import code_digest
from afml.study.small import NOTHING, PRODUCT, Cell, Reached, SmallRun, draw, small_run

SITES, POPULATION, PANEL = 1024, 4000, 500
#: Seeds on which rivals are fixed.
TUNING = tuple(range(1000, 1030))
#: People at most of a cell that has more seeds.
FEW = 500
BAR = -0.01
_Axes = tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]
#: People, causal sites and PLEs of the cells: those of the plan, and many more.
_PLANNED: dict[str, _Axes] = {
    "simulated": ((200, 500, 2000), (5, 20, 50), (0.3, 0.9, 1.5)),
    "exomes": ((500, 2000), (5, 50), (0.5, 0.9)),
}
_FULL: _Axes = ((200, 500, 1000, 2000), (5, 20, 50), (0.3, 0.5, 0.9, 1.5))


@cache
def trial_seeds(cell: Cell) -> tuple[int, ...]:
    """Seeds of a cell's trial, those that are reported: more where few people make every single figure noisy."""
    return tuple(range(1, 201 if cell.people <= FEW else 51))


def small_digest() -> str:
    """SHA-256 of the source that a small run depends on, hex, shortened; taken once per process."""
    return hashlib.sha256(code_digest().encode() + Path(small.__file__).read_bytes()).hexdigest()[:16]


def grid(real: bool, *, full: bool = False) -> list[Cell]:
    """The cells, and one of each kind of genotypes whose trait is not inherited.

    Args:
        real: Whether there are real genotypes.
        full: Many more cells.
    """
    kinds: tuple[Literal["simulated", "exomes"], ...] = ("simulated", "exomes") if real else ("simulated",)
    made = []
    for kind in kinds:
        people, causal, ples = _FULL if full else _PLANNED[kind]
        made += [Cell(kind, n, c, ple) for n in people for c in causal for ple in ples]
    return made + [Cell(kind, 800, 5, 0.9, heritability=0.0) for kind in kinds]


def drawn_alike(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """The cells, those together that differ in their PLE alone: people, trait and raw genotypes are the same."""
    found: dict[Cell, list[Cell]] = {}
    for cell in cells:
        found.setdefault(replace(cell, ple=0.0), []).append(cell)
    return [tuple(group) for group in found.values()]


@dataclass(frozen=True)
class Verdict:
    """One cell.

    Attributes:
        cell: Which.
        rival: The strongest release at no higher RR on the tuning seeds.
        difference: Mean utility ratio of the product minus that of the rival on the trial's seeds.
        interval: 95 % (Student) of that mean.
        ratio, rival_ratio: Means of both.
        rr_bound, rival_rr_bound: Means of patterns over people.
        at_chance: Share of runs that say that they are not worth releasing.
        methods: How often `auto` took which.
        seeds: Of the trial.
        differences: Of every seed.
    """

    cell: str
    rival: str
    difference: float
    interval: tuple[float, float]
    ratio: float
    rival_ratio: float
    rr_bound: float
    rival_rr_bound: float
    at_chance: float
    methods: dict[str, int]
    seeds: tuple[int, ...]
    differences: tuple[float, ...]

    @property
    def reached(self) -> bool:
        """Whether the release is not worse, as far as the seeds can tell."""
        return self.interval[0] >= BAR


def strongest_rival(tuning: Sequence[SmallRun]) -> str:
    """The release of the largest mean utility ratio among those whose mean RR is not above the product's."""
    names = [name for name in tuning[0].reached if name != PRODUCT]
    rr = {name: float(np.mean([run.reached[name].rr_bound for run in tuning])) for name in (PRODUCT, *names)}
    fair = [name for name in names if rr[name] <= rr[PRODUCT] + 1e-12]
    return max(fair or [NOTHING], key=lambda name: float(np.mean([run.reached[name].ratio for run in tuning])))


def verdict(cell: Cell, tuning: Sequence[SmallRun], trial: Sequence[SmallRun]) -> Verdict:
    """What a cell comes to: the rival from `tuning`, everything else from `trial`; two runs of each at least."""
    rival = strongest_rival(tuning)

    def mean(figure: Callable[[SmallRun], float]) -> float:
        return float(np.mean([figure(run) for run in trial]))

    differences = np.array([run.reached[PRODUCT].ratio - run.reached[rival].ratio for run in trial])
    half = float(stats.t.ppf(0.975, len(trial) - 1) * differences.std(ddof=1) / math.sqrt(len(trial)))
    middle = float(differences.mean())
    taken = [run.method for run in trial]
    return Verdict(
        cell=cell.name,
        rival=rival,
        difference=middle,
        interval=(middle - half, middle + half),
        ratio=mean(lambda run: run.reached[PRODUCT].ratio),
        rival_ratio=mean(lambda run: run.reached[rival].ratio),
        rr_bound=mean(lambda run: run.reached[PRODUCT].rr_bound),
        rival_rr_bound=mean(lambda run: run.reached[rival].rr_bound),
        at_chance=mean(lambda run: float(run.at_chance)),
        methods={name: taken.count(name) for name in sorted(set(taken))},
        seeds=tuple(run.seed for run in trial),
        differences=tuple(round(float(one), 4) for one in differences),
    )


@dataclass(frozen=True)
class SmallPlaces:
    """Where runs find people, and keep what was made.

    Attributes:
        source: Folder of the real exomes; None where there are none.
        cache: For prepared data and for runs, which a second call does not make again.
    """

    source: Path | None
    cache: Path

    def run(self, cell: Cell, seed: int) -> Path:
        """Where one run is kept; another version of the source makes its own."""
        return self.cache / "small" / small_digest() / cell.name / f"{seed}.json"


def make_small(
    cells: Sequence[Cell], places: SmallPlaces, *, workers: int, say: Callable[[str], None]
) -> Iterator[Cell]:
    """Make the runs of some cells, those drawn alike together; what is there already is not made again."""
    one_thread_each()
    for kind in dict.fromkeys(cell.kind for cell in cells):
        _population(kind, places)
    done = 0
    with ProcessPoolExecutor(workers) as pool:
        for group in drawn_alike(cells):
            waiting = [
                (seed, tuple(cell for cell in group if not places.run(cell, seed).exists()))
                for seed in (*TUNING, *trial_seeds(group[0]))
            ]
            for future in as_completed([pool.submit(_make, some, seed, places) for seed, some in waiting if some]):
                future.result()
            for cell, found in zip(group, verdicts(group, places), strict=True):
                low, high = found.interval
                done += 1
                say(
                    f"[{done}/{len(cells)}] {cell.name}: {found.difference:+.3f} [{low:+.3f}, {high:+.3f}] "
                    f"against {found.rival}"
                )
                yield cell


def verdicts(cells: Sequence[Cell], places: SmallPlaces) -> list[Verdict]:
    """Of the cells whose runs are all there."""
    both = {cell: (TUNING, trial_seeds(cell)) for cell in cells}
    whole = (cell for cell in cells if all(places.run(cell, seed).exists() for seeds in both[cell] for seed in seeds))
    return [verdict(cell, *([_kept(cell, seed, places) for seed in seeds] for seeds in both[cell])) for cell in whole]


def write_small(folder: Path, cells: Sequence[Cell], places: SmallPlaces) -> list[Verdict]:
    """Write small.json and small.md, of the cells whose runs are all there; returns these."""
    found = verdicts(cells, places)
    names = {one.cell for one in found}
    missing = [cell for cell in cells if cell.name not in names]
    body: dict[str, Any] = {
        "command": "make reproduce-small DATA=FOLDER", "code": small_digest(), "bar": BAR, "simulation": SIMULATION,
        "tuning_seeds": list(TUNING), "cells": [asdict(one) | {"reached": one.reached} for one in found],
        "missing": [cell.name for cell in missing],
    }  # fmt: skip
    write_bytes(folder / "small.json", (json.dumps(body, indent=1) + "\n").encode())
    write_bytes(folder / "small.md", page(found, missing).encode())
    return found


def page(found: Sequence[Verdict], missing: Sequence[Cell]) -> str:
    """The table that people read."""
    held = sum(one.reached for one in found)
    lines = [
        "# Small consortia", "",
        f"**{SIMULATION}**: the noise of these runs comes from seeds. Traits are simulated. RR: patterns over people, "
        "an attacker's expected success at most. Rivals are fixed on seeds of 1000 and above, everything else is of "
        f"seeds below: 200 with at most {FEW} people, 50 with more. The bar: the lower end of the interval is at least "
        f"{BAR}.", "",
        f"{held} of {len(found)} cells reach it; {len(missing)} cells of the grid were not run.", "",
        "| cell | ratio | RR | rival | its ratio | its RR | difference [95 %] | bar | at chance | `auto` took |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in found:
        low, high = one.interval
        lines.append(
            f"| {one.cell} | {one.ratio:.3f} | {100 * one.rr_bound:.2f} % | {one.rival} | {one.rival_ratio:.3f} "
            f"| {100 * one.rival_rr_bound:.2f} % | {one.difference:+.3f} [{low:+.3f}, {high:+.3f}] "
            f"| {'reached' if one.reached else '**MISSED**'} | {100 * one.at_chance:.0f} % "
            f"| {', '.join(f'{name} {times}' for name, times in one.methods.items())} |"
        )
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=2)
def _population(kind: str, places: SmallPlaces) -> StudyData:
    if kind == "simulated":
        settings = DataSettings(kind="simulated", sites=SITES, people=POPULATION, panel_people=PANEL, split_seed=3)
    else:
        source = exomes(places.source or Path("."))[0]
        settings = DataSettings(kind="vcf", source=file_digest(source), sites=SITES, panel_people=PANEL)
    return load(settings, source=places.source, cache=places.cache)


def _make(cells: tuple[Cell, ...], seed: int, places: SmallPlaces) -> None:
    """In a worker: make one run of each of some cells that are drawn alike, and keep them."""
    data = _population(cells[0].kind, places)
    people = draw(cells[0], seed, np.concatenate(data.files))
    for cell in cells:
        plan = phases(cell.ple, SITES, GAME_SHARE, GAME_ROUNDS, 1, GameSettings(steps=0))
        write_bytes(places.run(cell, seed), json.dumps(asdict(small_run(cell, people, data, plan))).encode())


def _kept(cell: Cell, seed: int, places: SmallPlaces) -> SmallRun:
    stored = json.loads(places.run(cell, seed).read_bytes())
    reached = {name: Reached(**one) for name, one in stored.pop("reached").items()}
    return SmallRun(reached=reached, **stored)
