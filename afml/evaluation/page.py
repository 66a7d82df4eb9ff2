"""report.html: one file that needs no network, with a plot of RR against utility."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from afml.core.bounded import at_least, at_most
from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.evaluation.attacks import ATTACKS, KNOWING
from afml.evaluation.baselines import RANDOM
from afml.evaluation.details import Details, PhenotypeDetails, every_phenotype
from afml.evaluation.groups import ALLOWED
from afml.evaluation.plot import MEASURES, frontier_svg
from afml.evaluation.report import BaselineRow, FrontierPoint, Report, compared_rows


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


def better(report: Report) -> tuple[BaselineRow, ...]:
    """Other ways to release the same people that beat this one: as much utility or more, at no higher RR."""
    own = report.release
    if not own.utility_comparable:
        return ()
    rows = (row for row in report.baselines if row.rr <= own.rr_by_genotypes and row.utility_ratio >= own.utility_ratio)
    return tuple({row.name: row for row in rows}.values())


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
    environment.filters["at_most"] = at_most
    environment.filters["at_least"] = at_least
    more = details.measured
    page = environment.get_template("report.html.j2").render(
        report=report,
        details=details,
        attacks={
            name: known.get(name).guess
            for known in (ATTACKS, KNOWING)
            for name in report.release.rr_by_attack
            if name in known
        },
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
        small_plot=Markup(frontier_svg(report, details.frontier, small=True)),
        frontier=details.frontier,
        better=better(report),
        rr_random=next((row.rr for row in report.baselines if (row.name, row.matched) == (RANDOM, "utility")), 0.0),
    )
    write_bytes(path, page.encode())
