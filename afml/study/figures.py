"""results/figures/*.png: frontier, candidates, PLE, ablations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afml.core.files import staged_file
from afml.evaluation import palette
from afml.study.record import RunRecord
from afml.study.summary import is_plain, median

OWN = palette.OWN.colour
CAUSAL_COLOURS = {5: "#2563eb", 20: "#d97706", 50: "#0f766e"}
_FLOOR = 1e-4


def _axes(count: int, width: float = 4.4, height: float = 4.6) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count + 0.8, height), layout="constrained")
    made = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axes in made:
        axes.grid(True, which="major", color="#e5e7eb", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(made)


def _percent_axis(axis: Any) -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _levels(records: Sequence[RunRecord], name: str) -> list[tuple[float, float]]:
    """(median utility ratio, median RR) of every level of a method that all runs have, in the levels' order."""
    found: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for point in record.frontier:
            if point.name == name:
                found.setdefault(point.level, []).append((point.utility_ratio, point.rr))
    whole = [points for points in found.values() if len(points) == len(records)]
    return [(median(u for u, _ in points), max(median(r for _, r in points), _FLOOR)) for points in whole]


def frontier(records: Sequence[RunRecord], ple: float = 0.9) -> Figure | None:
    """RR against utility ratio for every method, one panel per number of causal sites."""
    chosen = [r for r in records if is_plain(r) and r.settings.noise == "distributed" and r.settings.ple == ple]
    chosen = [r for r in chosen if r.settings.sites_key == "1024"] or chosen
    causal = sorted({r.settings.causal for r in chosen})
    if not causal:
        return None
    figure, panels = _axes(len(causal))
    for axes, count in zip(panels, causal, strict=True):
        members = [r for r in chosen if r.settings.causal == count]
        for name in palette.names():
            colour, marker, kind = palette.style_of(name)
            points = _levels(members, name)
            if points:
                x, y = zip(*points, strict=True)
                line = kind if len(points) > 1 else ""
                axes.plot(x, y, line, marker=marker, color=colour, label=name, markersize=5, linewidth=1.2, alpha=0.9)
        own = [(p.utility_ratio, max(p.rr, _FLOOR)) for r in members for p in r.operating_points]
        if own:
            label = "AFML, other operating points (each run)"
            axes.plot(*zip(*own, strict=True), ".", color=OWN, alpha=0.25, markersize=4, label=label)
        axes.plot([r.utility_ratio for r in members], [max(r.rr, _FLOOR) for r in members], "*", color=OWN,
                  markersize=7, alpha=0.5, label="AFML release, each run")  # fmt: skip
        axes.plot([median(r.utility_ratio for r in members)], [median(r.rr for r in members)], "*", color=OWN,
                  markersize=16, markeredgecolor="white", label="AFML release, median", zorder=6)  # fmt: skip
        axes.axhline(members[0].release.chance, color="#475569", linestyle=":", linewidth=1, label="chance")
        axes.axvline(1, color="#cbd5e1", linewidth=1, zorder=0)
        axes.set_yscale("log")
        _percent_axis(axes.yaxis)
        axes.set_title(f"{count} causal sites ({len(members)} runs)", fontsize=10)
        axes.set_xlabel("utility ratio")
    panels[0].set_ylabel("re-identification rate")
    handles: dict[str, Any] = {}
    for axes in panels:
        handles.update({label: h for h, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    figure.set_size_inches(figure.get_figwidth(), 6.0)
    return figure


def candidates(records: Sequence[RunRecord], ple: float = 0.9) -> Figure | None:
    """RR against the number of candidates."""
    chosen = [r for r in records if is_plain(r) and r.candidates and r.settings.ple == ple]
    chosen = [r for r in chosen if r.settings.noise == "distributed"]
    if not chosen:
        return None
    figure, (axes,) = _axes(1, 6.2, 4.4)
    for causal in sorted({r.settings.causal for r in chosen}):
        members = [r for r in chosen if r.settings.causal == causal]
        by_count: dict[int, list[float]] = {}
        for record in members:
            for at in record.candidates:
                # These attacks are not the only way: whoever does worse than chance would guess instead.
                by_count.setdefault(at.people, []).append(max(at.rr, 1 / at.people))
        x = sorted(by_count)
        colour = CAUSAL_COLOURS.get(causal, OWN)
        axes.plot(x, [median(by_count[n]) for n in x], "o-", color=colour, label=f"{causal} causal sites, median")
        low, high = [min(by_count[n]) for n in x], [max(by_count[n]) for n in x]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    counts = sorted({at.people for r in chosen for at in r.candidates})
    people = chosen[0].release.candidates
    axes.plot(counts, [1 / n for n in counts], ":", color="#475569", label="chance")
    axes.axvline(people, color="#cbd5e1", linewidth=1, zorder=0)
    axes.annotate("all private people", (people, 0.02), xycoords=("data", "axes fraction"), fontsize=8,
                  color="#64748b", rotation=90, va="bottom", ha="right")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    _percent_axis(axes.yaxis)
    axes.set_xlabel("candidates (right of the line: simulated people join)")
    axes.set_ylabel("re-identification rate")
    axes.legend(frameon=False, fontsize=8)
    return figure


def by_ple(records: Sequence[RunRecord]) -> Figure | None:
    """Utility ratio against the PLE target, for both ways to add noise."""
    chosen = [r for r in records if is_plain(r) and r.settings.sites_key == "1024"]
    if len({(r.settings.ple, r.settings.noise) for r in chosen}) < 2:
        return None
    figure, (axes,) = _axes(1, 6.2, 4.4)
    offset = 0.0
    for noise, line in (("distributed", "-"), ("local", "--")):
        for causal in sorted({r.settings.causal for r in chosen if r.settings.noise == noise}):
            members = [r for r in chosen if (r.settings.noise, r.settings.causal) == (noise, causal)]
            ples = sorted({r.settings.ple for r in members})
            values = [[r.utility_ratio for r in members if r.settings.ple == ple] for ple in ples]
            middle = np.array([median(v) for v in values])
            spread = [middle - [min(v) for v in values], np.array([max(v) for v in values]) - middle]
            colour = CAUSAL_COLOURS.get(causal, OWN)
            axes.errorbar(np.array(ples) + offset, middle, yerr=spread, fmt="o" + line, color=colour, capsize=3,
                          label=f"{causal} causal sites, noise {noise}")  # fmt: skip
            offset += 0.006
    axes.axhline(1, color="#cbd5e1", linewidth=1, zorder=0)
    axes.set_xlabel("PLE target, sigma")
    axes.set_ylabel("utility ratio (median, smallest and largest)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def ablations(records: Sequence[RunRecord]) -> Figure | None:
    """RR of every variant, and its utility ratio against that of the unchanged network release of the same phenotype.

    Phenotypes differ more than variants do, so variants with other seeds are compared by differences alone.
    """
    varied = [r for r in records if not is_plain(r) and r.settings.phenotypes == 1]
    unchanged = {r.settings.phenotype_seed: r.utility_ratio for r in varied if r.settings.variant == "network"}
    varied = [r for r in varied if r.settings.phenotype_seed in unchanged]
    names = list(dict.fromkeys(r.settings.variant for r in varied))
    if not names:
        return None
    figure = Figure(figsize=(8.4, 0.36 * len(names) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(names))[::-1]
    for place, name in zip(places, names, strict=True):
        members = [r for r in varied if r.settings.variant == name]
        gained = [r.utility_ratio - unchanged[r.settings.phenotype_seed] for r in members]
        for axes, values in ((left, gained), (right, [r.rr for r in members])):
            axes.plot(values, [place] * len(values), "o", color="#94a3b8", markersize=4)
            axes.plot([median(values)], [place], "D", color=OWN, markersize=6)
    counts = {name: sum(r.settings.variant == name for r in varied) for name in names}
    left.set_yticks(places, [f"{name} ({counts[name]})" for name in names])
    left.set_xlabel("utility ratio above that of `network` (runs; median)")
    left.axvline(0, color="#cbd5e1", linewidth=1, zorder=0)
    right.set_xlabel("re-identification rate")
    right.set_xlim(0, 1.1 * max(record.rr for record in varied))
    _percent_axis(right.xaxis)
    left.set_ylim(-0.6, len(names) - 0.4)
    for axes in (left, right):
        axes.grid(True, axis="x", color="#e5e7eb", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


FIGURES: dict[str, Callable[[Sequence[RunRecord]], Figure | None]] = {
    "frontier": frontier,
    "frontier-ple-0.5": lambda records: frontier(records, 0.5),
    "candidates": candidates,
    "utility-by-ple": by_ple,
    "ablations": ablations,
}


def write_figures(folder: Path, records: Sequence[RunRecord]) -> list[Path]:
    """Write every figure that the runs allow; returns their paths."""
    written = []
    for name, draw in FIGURES.items():
        figure = draw(records)
        if figure is not None:
            path = folder / f"{name}.png"
            with staged_file(path) as staged:
                figure.savefig(staged, format="png", dpi=130, metadata={"Software": None})
            written.append(path)
    return written
