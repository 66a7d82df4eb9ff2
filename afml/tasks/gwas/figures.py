"""Figures of a scan: Manhattan, quantiles against those of chance, and the linkage around the strongest leads."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afml.tasks.gwas.clumps import GENOME_WIDE, Clump, Places
from afml.tasks.gwas.results import Scan

_COLOURS = ("#1e3a8a", "#64748b")
_LEAD = "#b91c1c"
_LINE = -np.log10(GENOME_WIDE)


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()


def manhattan(scan: Scan, clumps: Sequence[Clump]) -> Figure:
    """-log10 p of every site in genome order; leads of clumps marked."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    axes = figure.subplots()
    strength, offset, ticks = scan.neg_log10_p, 0.0, []
    place = np.zeros(len(strength))
    names = np.array(scan.sites.chrom)
    for number, name in enumerate(dict.fromkeys(scan.sites.chrom)):
        here = names == name
        start = scan.sites.pos[here].min()
        place[here] = scan.sites.pos[here] - start + offset
        axes.scatter(place[here], strength[here], s=4, color=_COLOURS[number % 2], linewidths=0)
        ticks.append((float(place[here].mean()), name))
        offset = float(place[here].max()) + 5e6
    leads = [clump.lead for clump in clumps]
    axes.scatter(place[leads], strength[leads], s=26, color=_LEAD, marker="D", linewidths=0)
    axes.axhline(_LINE, color=_LEAD, linewidth=0.8, linestyle="--")
    axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=7)
    axes.set_xlabel("chromosome")
    _plain(axes, "-log10 p, noise included")
    return figure


def quantiles(scan: Scan) -> Figure:
    """Observed against expected quantiles of -log10 p."""
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    found = np.sort(scan.neg_log10_p)[::-1]
    expected = -np.log10((np.arange(len(found)) + 0.5) / len(found))
    axes.plot([0, expected[0]], [0, expected[0]], color="#94a3b8", linewidth=1)
    axes.scatter(expected, found, s=6, color=_COLOURS[0], linewidths=0)
    axes.set_xlabel("-log10 p expected by chance")
    axes.set_title(f"inflation {scan.inflation:.3f}", fontsize=9)
    _plain(axes, "-log10 p, noise included")
    return figure


def regions(scan: Scan, places: Places, clumps: Sequence[Clump]) -> Figure:
    """The neighbourhoods of leads, coloured by linkage with them on the panel."""
    columns = min(3, len(clumps))
    rows = -(-len(clumps) // columns)
    figure = Figure(figsize=(3.6 * columns + 0.6, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    strength, points = scan.neg_log10_p, None
    for axes in grid.flat[len(clumps) :]:
        axes.set_visible(False)
    for axes, clump in zip(grid.flat, clumps, strict=False):
        near = places.near(clump.lead)
        linkage = np.square(places.correlation(clump.lead, near))
        at = scan.sites.pos[near] / 1e6
        points = axes.scatter(at, strength[near], c=linkage, cmap="turbo", vmin=0, vmax=1, s=14, linewidths=0)
        axes.scatter([scan.sites.pos[clump.lead] / 1e6], [strength[clump.lead]], s=36, color=_LEAD, marker="D")
        axes.axhline(_LINE, color=_LEAD, linewidth=0.8, linestyle="--")
        axes.set_title(f"{scan.sites.chrom[clump.lead]}:{scan.sites.pos[clump.lead]}", fontsize=9)
        axes.set_xlabel("Mb", fontsize=8)
        _plain(axes, "-log10 p")
    if points is not None:
        figure.colorbar(points, ax=grid, label="r² with the lead, on the panel")
    return figure


def _plain(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
