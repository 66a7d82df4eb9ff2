"""The files beside a statistics model: tables for programs, a page for people. All of them follow from the arrays.

columns.tsv       a line for each figure of a column
sites.tsv         a line for each site
statistics.json   the same in one file
statistics.md     what was released of whom, how large the errors are, and what they mean
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.files import write_bytes
from afml.genomics.sites import SitePanel
from afml.tasks.release.blocks import SHORTENED
from afml.tasks.statistics.column_results import Figure

_SHOWN = 40  # figures of columns on the page; all are in columns.tsv


@dataclass(frozen=True, eq=False)
class Result:
    """All that the pages say.

    Attributes:
        run: Name of the run.
        people: Whose sums they are.
        institutions: Of the run.
        figures: Of columns.
        panel: The sites; None where none were released.
        arrays: Of the model.
    """

    run: str
    people: int
    institutions: int
    figures: Sequence[Figure]
    panel: SitePanel | None
    arrays: Mapping[str, NDArray[np.float64]]

    @property
    def sites(self) -> dict[str, NDArray[np.float64]]:
        """Arrays of sites by their short names."""
        return {name.removeprefix("sites."): array for name, array in self.arrays.items() if name.startswith("sites.")}


def write_pages(folder: Path, result: Result) -> None:
    """Write the files into the model's folder, each whole or not at all."""
    if result.figures:
        write_bytes(folder / "columns.tsv", _columns_tsv(result.figures).encode())
    if result.panel is not None:
        write_bytes(folder / "sites.tsv", _sites_tsv(result, result.panel).encode())
    shown = json.dumps(_json(result), indent=1, allow_nan=False, ensure_ascii=False)
    write_bytes(folder / "statistics.json", (shown + "\n").encode())
    write_bytes(folder / "statistics.md", _page(result).encode())


def equilibrium(disequilibrium: float, error: float) -> tuple[float, float]:
    """(z, two-sided p) of a site's distance from Hardy-Weinberg equilibrium; the error holds noise and sampling."""
    z = disequilibrium / error if error > 0 else 0.0
    return z, math.erfc(abs(z) / math.sqrt(2))


def _columns_tsv(figures: Iterable[Figure]) -> str:
    head = "of\tfigure\tcell\tvalue\tnoise_se\tse\tlow\thigh"
    lines = [
        "\t".join((_cell(f.of), f.figure, _cell(f.cell), *map(_number, (f.value, f.noise, f.error, f.low, f.high))))
        for f in figures
    ]
    return "\n".join([head, *lines]) + "\n"


def _site_columns(result: Result, panel: SitePanel) -> dict[str, Sequence[float]]:
    """Columns of sites.tsv behind the site itself."""
    arrays = result.sites
    names = {
        "frequency": "frequency", "frequency_noise": "frequency_noise_se", "frequency_error": "frequency_se",
        "combined": "combined_frequency", "combined_noise": "combined_se", "heterozygous": "heterozygous",
        "heterozygous_noise": "heterozygous_noise_se", "homozygous": "homozygous",
        "homozygous_noise": "homozygous_noise_se", "missing": "missing", "missing_noise": "missing_noise_se",
    }  # fmt: skip
    columns: dict[str, Sequence[float]] = {"panel_frequency": panel.maf.tolist()}
    columns |= {shown: arrays[name].tolist() for name, shown in names.items() if name in arrays}
    if "disequilibrium" in arrays:
        tested = [
            equilibrium(apart, error)
            for apart, error in zip(arrays["disequilibrium"], arrays["disequilibrium_error"], strict=True)
        ]
        columns["hwe_disequilibrium"] = arrays["disequilibrium"].tolist()
        columns["hwe_se"] = arrays["disequilibrium_error"].tolist()
        columns["hwe_z"] = [z for z, _ in tested]
        columns["hwe_p"] = [p for _, p in tested]
    return columns


def _sites_tsv(result: Result, panel: SitePanel) -> str:
    columns = _site_columns(result, panel)
    lines = ["\t".join(("chrom", "pos", "ref", "alt", "counted_allele", *columns))]
    for site in range(len(panel)):
        counted = panel.alt[site] if panel.minor_is_alt[site] else panel.ref[site]
        key = (*map(str, panel.key(site)), counted)
        lines.append("\t".join((*key, *(_number(values[site]) for values in columns.values()))))
    return "\n".join(lines) + "\n"


def _json(result: Result) -> dict[str, object]:
    found: dict[str, object] = {
        "run": result.run,
        "people": result.people,
        "institutions": result.institutions,
        "columns": [
            {"of": f.of, "figure": f.figure, "cell": f.cell, "value": f.value, "noise_se": _or_none(f.noise),
             "se": _or_none(f.error), "low": _or_none(f.low), "high": _or_none(f.high)}
            for f in result.figures
        ],
    }  # fmt: skip
    if result.panel is not None:
        columns = _site_columns(result, result.panel)
        found["sites"] = [":".join(map(str, result.panel.key(site))) for site in range(len(result.panel))]
        found |= {f"site_{name}": list(values) for name, values in columns.items()}
    return found


def _page(result: Result) -> str:
    lines = [
        f"# Statistics of run {result.run}",
        "",
        f"{result.people} people of {result.institutions} institutions, each counted once: somebody with several rows "
        "counts with their mean. All figures come from one noised sum; what it cost is in the privacy statement.",
        "",
        "`noise_se` is the standard error of the noise: how far a figure is from the exact one of these people. `se` "
        "also counts these people as a sample of others like them. Counts are shown as released: with noise they are "
        "no whole numbers, and small ones may be below 0.",
    ]
    if result.panel is not None:
        lines += ["", *_site_lines(result, result.panel)]
    shortened = [figure for figure in result.figures if figure.figure == SHORTENED]
    for figure in shortened:
        lines += [
            "",
            f"People whose vector was longer than the public bound and was shortened to it: {figure.value:.0f} "
            f"(noise_se {figure.noise:.0f}). Where they are many, frequencies lean towards the panel's.",
        ]
    figures = [figure for figure in result.figures if figure.figure != SHORTENED]
    if figures:
        lines += ["", "| of | figure | cell | value | noise_se | se | 95 % interval |", "|---|---|---|---|---|---|---|"]
        lines += [_row(figure) for figure in figures[:_SHOWN]]
        if len(figures) > _SHOWN:
            lines += ["", f"The other {len(figures) - _SHOWN} are in columns.tsv."]
    return "\n".join(lines) + "\n"


def _site_lines(result: Result, panel: SitePanel) -> list[str]:
    arrays = result.sites
    lines = [f"{len(panel)} sites, in sites.tsv; the counted allele is the rarer one of the public panel."]
    if "frequency" in arrays:
        noise, combined = arrays["frequency_noise"], arrays["combined_noise"]
        lines += [
            "",
            f"- Allele frequencies: median noise_se {np.median(noise):.2g}. `combined_frequency` adds the panel by "
            f"inverse variance, the panel's being what the release itself shows of its distance: median standard error "
            f"{np.median(combined):.2g}. It is no longer a figure of these people alone.",
        ]
    if "disequilibrium" in arrays:
        tested = zip(arrays["disequilibrium"], arrays["disequilibrium_error"], strict=True)
        low = sum(equilibrium(float(apart), float(error))[1] < 0.05 / len(panel) for apart, error in tested)
        lines.append(
            f"- Hardy-Weinberg equilibrium: {low} sites have p < 0.05 / {len(panel)}. Mixed ancestry shows here, too."
        )
    if "missing" in arrays:
        lines.append(f"- Missing calls: mean over sites {float(np.mean(arrays['missing'])):.3%} of the people.")
    if panel.drawn_note:
        lines.append(f"- {panel.drawn_note[0].upper()}{panel.drawn_note[1:]}.")
    return lines


def _row(figure: Figure) -> str:
    interval = "" if math.isnan(figure.low) else f"{figure.low:.6g} to {figure.high:.6g}"
    numbers = ["" if math.isnan(value) else f"{value:.6g}" for value in (figure.value, figure.noise, figure.error)]
    names = [name.replace("|", "\\|") for name in (figure.of, figure.figure, figure.cell)]
    return f"| {' | '.join([*names, *numbers, interval])} |"


def _cell(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def _number(value: float) -> str:
    return "NA" if math.isnan(value) else f"{value:.8g}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
