"""What evaluating a release takes: wall time, CPU and memory, two cores. Figures under "evaluation".

Drawn people (founders' haplotypes in windows, three populations), a codebook of single genotypes that each person
takes the nearest available of, at five institutions; everything that `afml evaluate` does with a release is done: all
attacks, utility, baselines, disclosure, more candidates. Memory is the peak of the process and its children together,
pages that they share counted once.

Environment: PEOPLE (an institution, 4000), SITES (1024), PATTERNS (200), BINARY and QUANTITATIVE traits (2 and 0),
PANEL (500 people). `make bench-evaluation` makes the small row, `make bench-evaluation-large` that of 5 x 100,000.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from afml.evaluation.evaluate import evaluate
from afml.evaluation.inputs import EvaluationInputs, Institution

NODES, CAUSAL, SMALLEST = 5, 20, 20
FOUNDERS, WINDOW, AT_ONCE = 60, 16, 1 << 13
BARS = {
    "people_5x4000_sites_1024_seconds": ("<=", 180.0),
    "people_5x100000_sites_2000_seconds": ("<=", 1200.0),
    "people_5x100000_sites_2000_peak_gb": ("<=", 12.0),
}
Int8 = NDArray[np.int8]
Float64 = NDArray[np.float64]


def draw(people: int, sites: int, seed: int) -> Int8:
    """int8[people, sites]: each haplotype takes every window from one of its population's founders."""
    public = np.random.default_rng(11)
    ancestral = public.uniform(0.08, 0.5, sites)
    shape = np.stack([ancestral, 1 - ancestral]) * 15
    founders = (public.random((3, FOUNDERS, sites)) < public.beta(*shape, (3, sites))[:, None]).astype(np.int8)
    rng = np.random.default_rng(seed)
    dosage = np.zeros((people, sites), dtype=np.int8)
    population = rng.integers(3, size=people)
    for start in range(0, sites, WINDOW):
        part = slice(start, start + WINDOW)
        for _ in range(2):
            dosage[:, part] += founders[population, rng.integers(FOUNDERS, size=people), part]
    return dosage


@dataclass(frozen=True, eq=False)
class Patterns:
    """A codebook of single genotypes: everybody shows the one that is there and whose centroid is nearest."""

    site: NDArray[np.int64]
    value: Int8
    centroids: Float64
    weights: Float64

    def chosen(self, dosage: Int8) -> NDArray[np.int64]:
        """Pattern of each person; the last one is the empty one."""
        found = np.empty(len(dosage), dtype=np.int64)
        for start in range(0, len(dosage), AT_ONCE):
            part = dosage[start : start + AT_ONCE]
            scores = (part @ self.weights.T.astype(np.float32)).astype(np.float32)
            far = (self.centroids**2).sum(axis=1).astype(np.float32) - 2 * scores @ self.centroids.T.astype(np.float32)
            far[:, :-1][part[:, self.site] != self.value] = np.inf
            found[start : start + AT_ONCE] = far.argmin(axis=1)
        return found

    def shown(self, pattern: NDArray[np.int64], sites: int) -> Int8:
        """The records of people with these patterns."""
        released = np.zeros((len(pattern), sites), dtype=np.int8)
        some = np.flatnonzero(pattern < len(self.site))
        released[some, self.site[pattern[some]]] = self.value[pattern[some]]
        return released

    def mask(self, dosage: Int8) -> Int8:
        """The public release function."""
        return self.shown(self.chosen(dosage), dosage.shape[1])

    def file(self, dosage: Int8) -> Int8:
        """One file: whoever would be in too small a group shows the empty pattern."""
        pattern = self.chosen(dosage)
        small = np.bincount(pattern, minlength=len(self.site) + 1) < SMALLEST
        return self.shown(np.where(small[pattern], len(self.site), pattern), dosage.shape[1])


def learnt(people: Int8, weights: Float64, patterns: int) -> Patterns:
    """A codebook by a few Lloyd steps."""
    counts = np.stack([(people == value).mean(axis=0) for value in (1, 2)], axis=1).reshape(-1)
    kept = np.argsort(np.abs(counts - 0.3), kind="stable")[: patterns - 1]
    site, value = kept // 2, (kept % 2 + 1).astype(np.int8)
    scores = people @ weights.T
    centroids = scores[np.random.default_rng(3).integers(len(people), size=patterns)]
    for _ in range(4):
        book = Patterns(site, value, centroids, weights)
        taken = book.chosen(people)
        for score in range(len(weights)):
            total = np.bincount(taken, weights=scores[:, score], minlength=patterns)
            count = np.bincount(taken, minlength=patterns)
            centroids[:, score] = np.where(count > 0, total / np.maximum(count, 1), centroids[:, score])
    return Patterns(site, value, centroids, weights)


@dataclass(frozen=True)
class Size:
    """What is evaluated."""

    people: int
    sites: int
    patterns: int
    binary: int
    quantitative: int
    panel: int

    @classmethod
    def asked(cls) -> Size:
        """As the environment says."""
        given = {"PEOPLE": 4000, "SITES": 1024, "PATTERNS": 200, "BINARY": 2, "QUANTITATIVE": 0, "PANEL": 500}
        return cls(*(int(os.environ.get(name, value)) for name, value in given.items()))


def inputs_of(size: Size) -> EvaluationInputs:
    """Five institutions, released."""
    everybody = draw(NODES * size.people, size.sites, 1)
    panel = draw(size.panel, size.sites, 2)
    rng = np.random.default_rng(5)
    traits = size.binary + size.quantitative
    weights = np.zeros((traits, size.sites))
    for row in weights:
        row[rng.choice(size.sites, CAUSAL, replace=False)] = rng.normal(size=CAUSAL)
    scores = np.concatenate([part @ weights.T for part in np.array_split(everybody, 50)])
    liability = scores / scores.std(axis=0) + rng.normal(size=scores.shape)
    cases = (liability > np.quantile(liability, 0.6, axis=0)).astype(np.int8)
    enrolled = rng.random(len(everybody)) < 0.75
    book = learnt(draw(max(size.panel, 40_000), size.sites, 6), weights / scores.std(axis=0)[:, None], size.patterns)
    released = np.empty_like(everybody)
    parts = [slice(k * size.people, (k + 1) * size.people) for k in range(NODES)]
    for part in parts:
        released[part] = book.file(everybody[part])
    institutions = tuple(
        Institution(
            everybody[part], cases[part, : size.binary], enrolled[part], released[part],
            traits=liability[part, size.binary :] if size.quantitative else None,
        )
        for part in parts
    )  # fmt: skip
    names = tuple(f"trait {number}" for number in range(1, traits + 1))
    return EvaluationInputs(institutions, panel, book.mask, weights, names=names, seed=1)


def peak_gb(work: Callable[[], None]) -> float:
    """Run; the peak of this process and its children, shared pages once, sampled every second."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(1.0):
            peak = max(peak, held())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    work()
    ended.set()
    watcher.join()
    return round(peak / 1e9, 2)


def held() -> int:
    """Bytes that this process and its children hold together."""
    found = 0
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            found += process.memory_full_info().pss
        except psutil.Error:  # ended meanwhile
            continue
    return found


def run() -> dict[str, object]:
    """Make and evaluate one release."""
    size = Size.asked()
    inputs = inputs_of(size)
    spent = sum(os.times()[:4])
    started, last = time.perf_counter(), [time.perf_counter(), "start"]
    steps: list[tuple[float, str]] = []
    figures: dict[str, object] = {}

    def note(name: str) -> None:
        now = time.perf_counter()
        steps.append((round(now - float(last[0]), 1), str(last[1])))
        print(f"    {now - started:8.1f} s  {name}", file=sys.stderr, flush=True)
        last[:] = [now, name]

    def work() -> None:
        found = evaluate(inputs, note)
        key = f"people_5x{size.people}_sites_{size.sites}"
        figures[f"{key}_seconds"] = round(time.perf_counter() - started, 1)
        figures[f"{key}_cpu_seconds"] = round(sum(os.times()[:4]) - spent, 1)
        release = found.release
        figures[f"{key}_rr"], figures[f"{key}_patterns"] = release.rr, release.patterns
        figures[f"{key}_rr_known_institution"] = release.rr_known_institution
        figures[f"{key}_ratios"] = json.dumps([round(one.utility_ratio, 3) for one in found.details.phenotypes])

    figures[f"people_5x{size.people}_sites_{size.sites}_peak_gb"] = peak_gb(work)
    note("end")
    for seconds, name in sorted(steps, reverse=True)[:8]:
        print(f"    {seconds:8.1f} s of {name}", file=sys.stderr, flush=True)
    return figures
