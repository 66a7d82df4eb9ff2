"""Rewrite the two results blocks of README.md from saved results: `make readme`.

Every figure in them comes from a report.json or from results/reproduce.json, which a command in the block reproduces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REAL = "make demo VCF=1kg_grch38_exome_common_maf1pct.2503.vcf.gz PANEL=panel_2504.tsv"
RUNS = {"real exomes": ("demo-real", REAL), "simulated": ("demo-simulated", "make demo")}


def percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.1f} %"


def block() -> str:
    """The demos, side by side, from their report.json."""
    reports = {name: json.loads((ROOT / "results" / f"{file}.json").read_text()) for name, (file, _) in RUNS.items()}
    rows: list[tuple[str, list[str]]] = []

    def row(title: str, cell: object) -> None:
        rows.append((title, [cell(report) for report in reports.values()]))  # type: ignore[operator]

    row("private people, sites, nodes", lambda r: f"{r['data']['people']}, {r['data']['sites']}, {r['data']['nodes']}")
    row(
        "RR, worst attack, all private people as candidates (95 %)",
        lambda r: (
            f"{percent(r['release']['rr'])} ({percent(r['release']['rr_ci95'][0])} to "
            f"{percent(r['release']['rr_ci95'][1])})"
        ),
    )
    row("RR where the attacker knows the institution", lambda r: percent(r["release"]["rr_known_institution"]))
    row("less RR than random masking at matched utility", lambda r: percent(r["rr_reduction_vs_random"]))
    row(
        "utility ratio (AUC released / raw, fixed pipeline)",
        lambda r: (
            f"{r['release']['utility_ratio']:.3f} ({r['release']['utility_auc']:.3f} / {r['release']['raw_auc']:.3f})"
        ),
    )
    row("same, chance-corrected", lambda r: f"{r['release']['utility_ratio_chance_corrected']:.3f}")
    row("same, against the best raw model", lambda r: f"{r['release']['utility_ratio_vs_best_raw']:.3f}")
    row(
        "PLE of the model, accounted (audited from below)",
        lambda r: (
            f"{r['privacy']['ple_sigma']:.3f} sigma"
            + (f" ({r['privacy']['audited_ple_lower']:.2f})" if r["privacy"]["audited_ple_lower"] is not None else "")
        ),
    )
    row("smallest group in a file; patterns", lambda r: f"{r['release']['min_group_size']}; {r['release']['patterns']}")
    row("bytes up per parameter, encrypted", lambda r: f"{r['federation']['bytes_up_per_parameter']:.2f}")
    row("wall time on two cores", lambda r: f"{sum(r['seconds'].values()) / 60:.1f} min")
    lines = ["| | " + " | ".join(reports) + " |", "|---|" + "---|" * len(reports)]
    lines += [f"| {title} | " + " | ".join(cells) + " |" for title, cells in rows]
    real, simulated = reports.values()
    method = {r["release"]["method"] for r in (real, simulated)}
    lines += ["", f"Release method chosen on the panel: {', '.join(sorted(method))}. Phenotypes are simulated."]
    lines += ["", "Commands: " + "; ".join(f"`{command}`" for _, command in RUNS.values()) + "."]
    return "\n".join(lines)


def study_block() -> str:
    """The study's groups, its missed bars and how many planned runs are missing, from results/reproduce.json."""
    whole = json.loads((ROOT / "results" / "reproduce.json").read_text())

    def exact(value: float) -> str:
        return f"{100 * value:.2f} %"

    def spread(group: dict[str, Any], name: str, form: Callable[[float], str]) -> str:
        low, middle, high = (form(group[way][name]) for way in ("min", "median", "max"))
        return f"{middle} ({low} to {high})"

    header = [
        "noise, PLE target, sites, causal sites",
        "runs",
        "RR",
        "less RR than random",
        "utility ratio",
        "chance-corrected",
        "against best raw",
    ]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for noise, by_ple in whole["summary"].items():
        for ple, by_sites in by_ple.items():
            for sites, by_causal in by_sites.items():
                for causal, group in by_causal.items():
                    cells = [f"{noise}, {ple}, {sites}, {causal}", str(group["runs"])]
                    cells += [spread(group, name, exact) for name in ("rr", "rr_reduction")]
                    names = ("utility_ratio", "utility_ratio_chance_corrected", "utility_ratio_vs_best_raw")
                    cells += [spread(group, name, "{:.3f}".format) for name in names]
                    lines.append("| " + " | ".join(cells) + " |")
    bars = [bar for bar in whole["bars"] if bar["met"] is not None]
    missed = [bar for bar in bars if not bar["met"]]
    lines += ["", f"{len(bars) - len(missed)} of {len(bars)} bars of the analysis plan are reached. Missed:"]
    lines += [
        f"- {bar['what']}, {', '.join(bar['group'])}: {bar['value']:.3g}, to reach {bar['target']:g}" for bar in missed
    ] or ["- none"]
    if whole["missing"]:
        lines += ["", f"{len(whole['missing'])} planned runs are not made; [tables](results/tables.md) name them."]
    return "\n".join(lines)


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, made in (("results", block()), ("study", study_block())):
        mark = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(mark, lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text, flags=re.S)  # type: ignore[misc]
    readme.write_text(text)


if __name__ == "__main__":
    main()
