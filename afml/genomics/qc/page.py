"""The quality page: one HTML file with its figures inside, which needs no network and stays at the institution."""

from __future__ import annotations

import base64
from importlib.resources import files

import numpy as np
from jinja2 import Environment

from afml.genomics.calls.tally import REASONS
from afml.genomics.qc import figures
from afml.genomics.qc.examine import Examined
from afml.genomics.qc.report import Spread, told_rows
from afml.genomics.store import GenotypeStore


def page(found: Examined, store: GenotypeStore) -> str:
    """The page as HTML.

    Args:
        found: What was measured.
        store: Of these people.
    """
    report, counts, there = found.report, found.counts, ~store.absent
    drawn = {
        "call_rates": figures.call_rates(
            counts.sites.called[there] / len(store), counts.people.call_rate, report.may_leave.gates
        ),
        "frequencies": figures.frequencies(store.panel.maf, counts.sites.frequency, found.differing),
        "equilibrium": figures.equilibrium(found.hardy_weinberg),
        "heterozygosity": figures.heterozygosity(counts.people.inbreeding, counts.people.call_rate),
    }
    if len(report.may_leave.waterfall) > 1:
        drawn["choice"] = figures.waterfall([row for row in report.may_leave.waterfall if row[1] or row[0][0] == "A"])
    drawn["waterfall"] = figures.waterfall(_cohort(found, store))
    if found.ancestry is not None:
        drawn["components"] = figures.components(found.ancestry)
    template = files("afml.genomics.qc").joinpath("templates/qc.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["spread"] = _spread
    return environment.from_string(template).render(
        report=report,
        may=report.may_leave,
        stays=report.stays,
        reasons=REASONS,
        told=told_rows(report.stays),
        ancestry=found.ancestry,
        figures={name: base64.b64encode(figures.png(figure)).decode() for name, figure in drawn.items()},
    )


def _cohort(found: Examined, store: GenotypeStore) -> list[tuple[str, int]]:
    """What became of the panel's sites here."""
    called = found.counts.sites.called
    few = (called < found.report.may_leave.gates.min_site_call_rate * len(store)) & ~store.absent
    rows = [
        ("sites of the panel", len(store.panel)),
        ("absent here", store.absent_sites),
        ("called in too few people", int(few.sum())),
        ("further from the panel's frequency than chance", int((found.differing & ~few).sum())),
    ]
    return [*rows, ("without remark", len(store.panel) - sum(number for _, number in rows[1:]))]


def _spread(spread: Spread) -> str:
    values = (spread.lowest, spread.percent_1, spread.median, spread.percent_99, spread.highest)
    return " · ".join("-" if value is None or not np.isfinite(value) else f"{value:.3f}" for value in values)
