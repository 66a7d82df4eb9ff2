"""RR against utility of a release and everything beside it: an inline SVG for wide pages, and one for phones."""

from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afml.evaluation.palette import OWN, known, style_of
from afml.evaluation.report import FrontierPoint, Report

#: How `ReleaseSection.utility_measure` is written.
MEASURES = {"auc": "AUC", "r2": "R²", "reconstruction": "reconstruction R²"}


def frontier_svg(report: Report, frontier: tuple[FrontierPoint, ...], small: bool = False) -> str:
    """RR (logarithmic) against utility ratio as an inline SVG that names no address.

    Args:
        report: The contract.
        frontier: Points of the plot; the release under test comes first.
        small: For a page as wide as a phone: the legend below, letters as large as the page's own.
    """
    size = (4.0, 6.4) if small else (8.2, 4.6)
    salt = "afml-small" if small else "afml"  # two SVGs of one page share no identifiers
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path", "font.size": 11 if small else 10}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, report, frontier)
        measure = MEASURES[report.release.utility_measure]
        raw = "raw components" if report.release.utility_measure == "reconstruction" else f"raw {measure}"
        axes.set_xlabel("utility ratio" if small else f"utility ratio (released {measure} / {raw}, held-out people)")
        if small:
            figure.legend(loc="outside lower left", frameon=False, fontsize=10)
        else:
            figure.legend(loc="outside right upper", frameon=False, fontsize=9)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    # Namespaces are not needed inside HTML, and without them the page holds no address at all.
    return re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)


def _draw(axes: Axes, report: Report, frontier: tuple[FrontierPoint, ...]) -> None:
    release = report.release
    floor = release.chance / 2
    others = 0
    for name in dict.fromkeys(point.name for point in frontier[1:]):
        points = [point for point in frontier[1:] if point.name == name]
        style = style_of(name, others)
        others += not known(name)
        x, y = [p.utility_ratio for p in points], [max(p.rr, floor) for p in points]
        line, size = (style.line, 5) if len(points) > 1 else ("", 7)
        axes.plot(x, y, line, marker=style.marker, color=style.colour, label=name, markersize=size, linewidth=1.3)
    own = frontier[0]
    low, high = release.rr_by_genotypes_ci95 or (own.rr, own.rr)
    across = release.utility_ratio_ci95
    axes.errorbar(
        [own.utility_ratio],
        [max(own.rr, floor)],
        yerr=[[own.rr - max(low, floor) if own.rr > floor else 0], [max(high - own.rr, 0)]],
        xerr=None
        if across is None
        else [[max(own.utility_ratio - across[0], 0)], [max(across[1] - own.utility_ratio, 0)]],
        fmt=OWN.marker, color=OWN.colour, markersize=15, capsize=3, label=own.name, zorder=5,
    )  # fmt: skip
    axes.axhline(release.chance, color="#475569", linestyle=":", linewidth=1.2, label="chance")
    axes.axvline(1.0, color="#cbd5e1", linewidth=1, zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(floor * 0.9, 1.5)
    axes.set_ylabel("re-identification rate")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.grid(True, which="major", color="#e2e8f0", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
