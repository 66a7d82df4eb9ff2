"""The pages of a federated evaluation: evaluation.json and evaluation.md, which follow from the sums alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afml.core.files import write_bytes

JSON_FILE, PAGE_FILE = "evaluation.json", "evaluation.md"


def write_pages(folder: Path, found: Mapping[str, Any]) -> None:
    """Write both, each whole or not at all."""
    write_bytes(folder / JSON_FILE, (json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
    write_bytes(folder / PAGE_FILE, page(found).encode())


def page(found: Mapping[str, Any]) -> str:
    """The page, Markdown."""
    lines = [
        f"# How the model {str(found['model'])[:12]} does",
        "",
        f"{found['people']} held-out people of all institutions, as declared; every person counts once. All numbers "
        f"hold the noise of the release: {found['noise_std']:.4g} (standard deviation) on every count or sum. "
        "Intervals are 95 %, noise and sampling together, where not said otherwise. A count may be negative: it is "
        "shown as it came.",
        "",
        "| measure | value | 95 % |",
        "|---|---|---|",
    ]
    lines += [_line(name, value, found) for name, value in found.items() if _is_measure(name, found)]
    for name in ("thresholds", "calibration", "classes"):
        if found.get(name):
            lines += ["", f"## {name.capitalize()}", "", *_table(found[name])]
    if found.get("confusion"):
        lines += ["", "## Confusion", "", "Rows are the truth, columns what the model says.", ""]
        lines += _table([{"truth": row, **dict(enumerate(cells))} for row, cells in enumerate(found["confusion"])])
    lines += ["", "`-`: the noise is as large as what would be measured."]
    return "\n".join(lines) + "\n"


def _is_measure(name: str, found: Mapping[str, Any]) -> bool:
    return f"{name}_95" in found or f"{name}_noise_95" in found


def _line(name: str, value: float | None, found: Mapping[str, Any]) -> str:
    both = found.get(f"{name}_95")
    noise = found.get(f"{name}_noise_95")
    shown = _range(both) if f"{name}_95" in found else f"{_range(noise)} (noise alone)"
    return f"| {name} | {_shown(value)} | {shown} |"


def _table(rows: list[dict[Any, Any]]) -> list[str]:
    names = list(rows[0])
    lines = ["| " + " | ".join(str(name).replace("_95", ", 95 %") for name in names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = (_range(row[name]) if str(name).endswith("_95") else _shown(row[name]) for name in names)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _range(pair: list[float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:.4g} to {pair[1]:.4g}"
