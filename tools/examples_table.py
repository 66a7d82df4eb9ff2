"""Rewrite the tables of docs/EXAMPLES.md from results/examples.json: `make readme`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "results" / "examples.json", ROOT / "docs" / "EXAMPLES.md"
EXAMPLES = ("flchain", "digits", "exomes", "adapter")


def table(rows: list[list[str]]) -> list[str]:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in body]


def interval(of: dict[str, float]) -> str:
    return f"{of['mean']:+.4f} ({of['low']:+.4f} to {of['high']:+.4f})"


def scores(entries: dict[str, Any]) -> list[str]:
    """Means over seeds, and the two differences."""
    rows = [[
        "example, score", "PLE", "seeds", "pooled, no privacy", "central DP-SGD", "federated", "local noise",
        "federated - central", "federated - local noise",
    ]]  # fmt: skip
    for name, entry in entries.items():
        arms = [f"{entry[arm]:.4f}" for arm in ("non_private", "central_dp", "federated", "local_noise")]
        against = [interval(entry[f"federated_minus_{arm}"]) for arm in ("central", "local")]
        rows.append(
            [f"{name}, {entry['metric']}", f"{entry['ple_sigma']:g}", str(len(entry["seeds"])), *arms, *against]
        )
    return table(rows)


def runs(entries: dict[str, Any]) -> list[str]:
    """How they were trained."""
    rows = [["example", "people", "trained parameters", "frozen", "rounds, sample rate", "z federated, central",
             "one seed through processes"]]  # fmt: skip
    for name, entry in entries.items():
        noise = f"{entry['noise_multiplier']:.3g}, {entry['central_noise_multiplier']:.3g}"
        size = [f"{entry[word]:,}" for word in ("people", "parameters", "frozen_parameters")]
        rows.append([name, *size, f"{entry['rounds']}, {entry['sample_rate']:g}", noise, deployed(entry)])
    return table(rows)


def deployed(entry: dict[str, Any]) -> str:
    """How the seed that went through real processes ended."""
    found = entry.get("processes")
    return f"seed {found['seed']}: same bits" if found and found["same_bits"] else "not run"


def block(whole: dict[str, Any]) -> str:
    """Both tables, and the bars that are missed."""
    entries = {name: whole[name] for name in EXAMPLES if name in whole}
    bars = [(name, bar, met) for name, entry in entries.items() for bar, met in entry["bars"].items()]
    missed = [f"- {name}: {bar}" for name, bar, met in bars if not met]
    told = [f"{len(bars) - len(missed)} of {len(bars)} bars are reached. Missed:", *(missed or ["- none"])]
    return "\n".join([*scores(entries), "", *runs(entries), "", *told])


def main() -> None:
    made = block(json.loads(RESULTS.read_text()))
    text = re.sub(
        r"(<!-- examples -->\n).*?(<!-- /examples -->)", lambda m: f"{m[1]}{made}\n{m[2]}", PAGE.read_text(), flags=re.S
    )
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
