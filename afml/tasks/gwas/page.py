"""The page of a scan: one HTML file with its figures inside, for whoever wants to look before computing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from afml.core.bounded import at_most
from afml.tasks.gwas.clumps import GENOME_WIDE, Clump, Places
from afml.tasks.gwas.figures import manhattan, png, quantiles, regions
from afml.tasks.gwas.pvalues import p_text
from afml.tasks.gwas.results import Scan

_MOST_ROWS, _MOST_REGIONS = 50, 6


def page(scan: Scan, clumps: Sequence[Clump]) -> str:
    """The page as HTML.

    Args:
        scan: What was found.
        clumps: Its clumps, the strongest first.
    """
    genotypes = scan.genotypes[:0] if scan.sites.drawn_people else scan.genotypes
    places = Places(scan.sites.chrom, scan.sites.pos, genotypes, scan.standard_error)
    figures = {"manhattan": manhattan(scan, clumps), "quantiles": quantiles(scan)}
    if clumps and len(genotypes):
        figures["regions"] = regions(scan, places, clumps[:_MOST_REGIONS])
    template = files("afml.tasks.gwas").joinpath("templates/gwas.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        scan=scan,
        at_most=at_most,
        clumps=[_row(scan, clump) for clump in clumps[:_MOST_ROWS]],
        count=len(clumps),
        threshold=f"{GENOME_WIDE:g}",
        share=_percent(scan, ~scan.followed),
        share_followed=_percent(scan, scan.followed),
        bounds=", ".join(f"{bound:.3g}" for bound in scan.bounds),
        followed=int(scan.followed.sum()),
        figures={name: base64.b64encode(png(figure)).decode() for name, figure in figures.items()},
    )


def _percent(scan: Scan, sites: NDArray[np.bool_]) -> str:
    """Mean share of noise at some sites; empty for none."""
    return f"{100 * float(scan.noise_share[sites].mean()):.0f}" if sites.any() else ""


def _row(scan: Scan, clump: Clump) -> dict[str, Any]:
    lead = clump.lead
    minor = scan.sites.alt[lead] if scan.sites.minor_is_alt[lead] else scan.sites.ref[lead]
    return {
        "place": f"{scan.sites.chrom[lead]}:{scan.sites.pos[lead]}",
        "allele": minor,
        "beta": f"{scan.beta[lead]:.3g}",
        "error": f"{scan.error[lead]:.2g}",
        "p": p_text(float(scan.neg_log10_p[lead])),
        "members": len(clump.members),
    }
