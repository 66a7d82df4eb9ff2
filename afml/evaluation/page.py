"""report.html: one file that needs no network, with a plot of RR against utility."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.evaluation.attacks import ATTACKS
from afml.evaluation.details import Details, PhenotypeDetails, every_phenotype
from afml.evaluation.groups import ALLOWED
from afml.evaluation.report import FrontierPoint, Report, compared_rows

_COLOURS = ("#8a8f98", "#d97706", "#0f766e", "#7c3aed", "#be185d", "#2563eb", "#4d7c0f")
_OWN = "#b91c1c"
#: How `ReleaseSection.utility_measure` is written.
MEASURES = {"auc": "AUC", "r2": "R²", "reconstruction": "reconstruction R²"}


@dataclass(frozen=True)
class PageDetails:
    """What the page says beyond report.json.

    Attributes:
        method: How records were released, e.g. "codebook of 10 patterns".
        fill: What a masked site shows.
        frontier: Points of the plot; the release under test comes first.
        measured: What details.json holds; None leaves these parts of the page out.
    """

    method: str
    fill: Literal["major", "missing"]
    frontier: tuple[FrontierPoint, ...]
    measured: Details | None = None


def frontier_svg(report: Report, frontier: tuple[FrontierPoint, ...]) -> str:
    """RR (logarithmic) against utility ratio as an inline SVG that names no address."""
    release = report.release
    measure = MEASURES[release.utility_measure]
    raw = "raw components" if release.utility_measure == "reconstruction" else f"raw {measure}"
    with matplotlib.rc_context({"svg.hashsalt": "afml", "svg.fonttype": "path", "font.size": 10}):
        figure = Figure(figsize=(8.2, 4.6), layout="constrained")
        axes = figure.add_subplot()
        floor = release.chance / 2
        names = list(dict.fromkeys(point.name for point in frontier[1:]))
        for index, name in enumerate(names):
            points = [point for point in frontier[1:] if point.name == name]
            colour = _COLOURS[index % len(_COLOURS)]
            x, y = [p.utility_ratio for p in points], [max(p.rr, floor) for p in points]
            if len(points) > 1:
                axes.plot(x, y, "o-", color=colour, label=name, markersize=4, linewidth=1.3, alpha=0.9)
            else:
                axes.plot(x, y, "s", color=colour, label=name, markersize=7)
        own = frontier[0]
        low, high = release.rr_ci95
        axes.errorbar(
            [own.utility_ratio],
            [max(own.rr, floor)],
            yerr=[[own.rr - max(low, floor) if own.rr > floor else 0], [max(high - own.rr, 0)]],
            fmt="*", color=_OWN, markersize=15, capsize=3, label=own.name, zorder=5,
        )  # fmt: skip
        axes.axhline(release.chance, color="#475569", linestyle=":", linewidth=1.2, label="chance")
        axes.axvline(1.0, color="#cbd5e1", linewidth=1, zorder=0)
        axes.set_yscale("log")
        axes.set_ylim(floor * 0.9, 1.5)
        axes.set_xlabel(f"utility ratio (released {measure} / {raw}, held-out people)")
        axes.set_ylabel("re-identification rate")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.grid(True, which="major", color="#e2e8f0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    # Namespaces are not needed inside HTML, and without them the page holds no address at all.
    return re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)


def percent(value: float) -> str:
    """A share as a percentage: one decimal from 1 % on, two from 0.1 %, three below."""
    points = 100 * value
    if points in (0, 100):
        return f"{points:.0f} %"
    decimals = 1 if 1 <= abs(points) < 99.9 else 2 if abs(points) >= 0.1 else 3
    return f"{points:.{decimals}f} %"


def amount(value: int) -> str:
    """A count with thin groups of three digits."""
    return f"{value:,}".replace(",", "\u2009")


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    rounded = round(100 * value, 1)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else ''}{abs(rounded):.1f}"


def _about(report: Report, details: Details) -> PhenotypeDetails | None:
    """The binary phenotype that the headline is about; where it is about none, the first."""
    named = [one for one in details.phenotypes if one.name == report.release.utility_phenotype]
    return next(iter((*named, *details.phenotypes)), None)


def write_html(report: Report, details: PageDetails, path: Path) -> None:
    """Write report.html, whole or not at all.

    Args:
        report: The contract.
        details: What the page says beside it.
        path: Target.
    """
    environment = Environment(
        loader=PackageLoader("afml.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["amount"] = amount
    environment.filters["points"] = points
    more = details.measured
    page = environment.get_template("report.html.j2").render(
        report=report,
        details=details,
        attacks={name: ATTACKS.get(name).guess for name in report.release.rr_by_attack if name in ATTACKS},
        measures=MEASURES,
        more=more,
        harder=None if more is None else more.harder,
        allowed=ALLOWED,
        baselines=compared_rows(report),
        every=() if more is None else every_phenotype(more),
        about=None if more is None else _about(report, more),
        exposed=None
        if more is None
        else max(more.phenotypes, key=lambda one: one.if_released.homogeneous_share, default=None),
        simulation=SIMULATION,
        plot=Markup(frontier_svg(report, details.frontier)),
    )
    write_bytes(path, page.encode())
