"""Figures of the quality page: where sites, frequencies and people lie."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from afml.genomics.qc.ancestry import Ancestry
from afml.genomics.qc.settings import GateSettings

_OWN, _PANEL, _LIMIT = "#1d4ed8", "#94a3b8", "#b91c1c"
_MOST_POINTS = 20_000
# Margins, as shares of the figure: said, since having them found takes as long as drawing.
_SQUARE = {"left": 0.16, "right": 0.98, "top": 0.97, "bottom": 0.13}
_WIDE = {"left": 0.08, "right": 0.99, "top": 0.96, "bottom": 0.17, "wspace": 0.22}
Floats = NDArray[np.float64]


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()


def waterfall(rows: list[tuple[str, int]]) -> Figure:
    """Bars of what a series of filters had, removed and left; the first and the last row are what there was and is."""
    figure = Figure(figsize=(9.0, 0.3 + 0.36 * len(rows)))
    axes = figure.subplots(gridspec_kw={"left": 0.36, "right": 0.99, "top": 0.98, "bottom": 0.02})
    whole, left = max(1, rows[0][1]), rows[0][1]
    for place, (_, number) in enumerate(rows):
        ends = place in (0, len(rows) - 1)
        start = 0 if ends else left - number
        axes.barh(place, number, left=start, color=_OWN if ends else _LIMIT, height=0.7)
        axes.text(start + number + 0.01 * whole, place, f"{number:,}", va="center", fontsize=8)
        left = left if ends else start
    axes.set_yticks(range(len(rows)), [what for what, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * whole)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def call_rates(sites: Floats, people: Floats, settings: GateSettings) -> Figure:
    """How call rates are spread over sites and over people, with the gates."""
    figure = Figure(figsize=(9.0, 2.9))
    for axes, values, gate, what in zip(
        figure.subplots(1, 2, gridspec_kw=_WIDE),
        (sites, people),
        (settings.min_site_call_rate, settings.min_person_call_rate),
        ("sites", "people"),
        strict=True,
    ):
        low = min(float(values.min(initial=1.0)), gate) - 0.01
        axes.hist(values, bins=np.linspace(low, 1.0, 50), color=_OWN)
        axes.axvline(gate, color=_LIMIT, linewidth=1, linestyle="--")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_xlabel(f"call rate of {what}")
        _plain(axes, what)
    return figure


def frequencies(panel: Floats, own: Floats, differing: NDArray[np.bool_]) -> Figure:
    """Frequency of the counted allele here against that of the panel, a point a site."""
    figure = Figure(figsize=(4.4, 4.2))
    axes = figure.subplots(gridspec_kw=_SQUARE)
    some = _some(np.flatnonzero(np.isfinite(own) & ~differing))
    far = np.flatnonzero(np.isfinite(own) & differing)
    axes.plot([0, 1], [0, 1], color=_PANEL, linewidth=1)
    axes.scatter(panel[some], own[some], s=5, color=_OWN, linewidths=0, alpha=0.6)
    axes.scatter(panel[far], own[far], s=9, color=_LIMIT, linewidths=0)
    axes.set_xlim(-0.01, 0.52)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("frequency in the panel")
    _plain(axes, "frequency here")
    return figure


def equilibrium(p: Floats) -> Figure:
    """Quantiles of -log10 p of Hardy-Weinberg equilibrium against those of chance."""
    figure = Figure(figsize=(4.4, 4.2))
    axes = figure.subplots(gridspec_kw=_SQUARE)
    found = np.sort(-np.log10(np.maximum(p[np.isfinite(p)], 1e-300)))[::-1]
    expected = -np.log10((np.arange(len(found)) + 0.5) / max(1, len(found)))
    top = float(expected.max(initial=1.0))
    axes.plot([0, top], [0, top], color=_PANEL, linewidth=1)
    axes.scatter(expected, found, s=6, color=_OWN, linewidths=0)
    axes.set_xlabel("-log10 p expected in equilibrium")
    _plain(axes, "-log10 p of sites")
    return figure


def heterozygosity(inbreeding: Floats, call_rate: Floats) -> Figure:
    """F of people against their call rate."""
    figure = Figure(figsize=(4.4, 4.2))
    axes = figure.subplots(gridspec_kw=_SQUARE)
    axes.axvline(0, color=_PANEL, linewidth=1)
    axes.scatter(inbreeding, call_rate, s=8, color=_OWN, linewidths=0, alpha=0.7)
    axes.set_ylim(min(0.9, float(call_rate.min(initial=1.0))) - 0.01, 1.01)
    axes.set_xlabel("F: fewer heterozygous sites than the panel's frequencies say →", fontsize=8)
    _plain(axes, "call rate")
    return figure


def components(found: Ancestry) -> Figure:
    """People of the panel and of the institution along the panel's first four components."""
    figure = Figure(figsize=(9.0, 4.2))
    for axes, first in zip(figure.subplots(1, 2, gridspec_kw=_WIDE), (0, 2), strict=True):
        axes.scatter(found.panel[:, first], found.panel[:, first + 1], s=10, color=_PANEL, linewidths=0, label="panel")
        some = _some(np.arange(len(found.people)))
        own = found.people[some]
        axes.scatter(own[:, first], own[:, first + 1], s=8, color=_OWN, linewidths=0, alpha=0.6, label="here")
        share = [f"{100 * found.explained[first + one]:.1f} %" for one in (0, 1)]
        axes.set_xlabel(f"component {first + 1} ({share[0]} of the panel's variance)")
        _plain(axes, f"component {first + 2} ({share[1]})")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _some(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most as many as can be told apart, evenly spread."""
    return places[np.linspace(0, len(places) - 1, min(_MOST_POINTS, len(places))).astype(np.int64)]


def _plain(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
