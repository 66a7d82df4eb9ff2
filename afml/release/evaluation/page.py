"""The pages of a federated evaluation of releases: they follow from the sums alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afml.core.files import write_bytes

JSON_FILE, PAGE_FILE = "release-evaluation.json", "release-evaluation.md"


def write_pages(folder: Path, found: Mapping[str, Any]) -> None:
    """Write both, each whole or not at all."""
    write_bytes(folder / JSON_FILE, (json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
    write_bytes(folder / PAGE_FILE, page(found).encode())


def page(found: Mapping[str, Any]) -> str:
    """The page, Markdown."""
    lines = [
        f"# How the releases of model {str(found['model'])[:12]} do",
        "",
        f"{found['people']} people kept out of training, at all institutions, each in the released file of their "
        "institution. Every institution attacked and scored its own file; the numbers are out of one noised sum, and "
        "may lie outside what a count can be: they are shown as they came. Intervals are 95 %, noise and sampling "
        "together.",
        "",
        "The model and this sum are what differential privacy bounds. The released records are protected by masking "
        "and group size, not by it.",
        "",
        "## Who could be recognised",
        "",
        f"**Re-identification rate {_percent(found['rr'])}** ({_range(found['rr_95'], _percent)}), of the worst "
        f"attack, as it came. Candidates for each record are its person and {found['candidates'] - 1} public people "
        f"in place of others; a blind guess is right for {_percent(found['chance'])}. Public people resemble private "
        "ones less than these do each other, so the rate errs upwards.",
        "",
        *_rates("attack", "rate", found["rr_by_attack"], _percent),
        "",
        f"**Membership AUC {_number(found['membership_auc'])}** ({_range(found['membership_auc_95'], _number)}): is "
        "somebody in the file? 0.5 is a coin; non-members are people of the public panel.",
        "",
        *_rates("score", "AUC", found["membership_by_score"], _number),
    ]
    if found["traits"]:
        lines += [
            "",
            "## What the files say of traits",
            "",
            "By the score that the codebook table beside a file names for what a record shows, against the model's "
            "score of the raw genotypes: the score that the files were made to keep, not the best raw model.",
            "",
            "| trait | measure | released | 95 % | raw | 95 % | ratio | 95 % |",
            "|---|---|---|---|---|---|---|---|",
            *(_trait(one) for one in found["traits"]),
        ]
    lines += ["", "## What crossed an institution's border", "", *_border(found["crossed"])]
    lines += ["", "`-`: the noise is as large as what would be measured, or raw scores say nothing."]
    return "\n".join(lines) + "\n"


def _border(crossed: Mapping[str, Any]) -> list[str]:
    insecure = crossed.get("insecure")
    cost = (
        f"**{insecure}**: its noise came from a seed and protects nobody."
        if insecure
        else f"Everything together is one release of PLE {_number(crossed['ple_sigma'])} sigma (epsilon "
        f"{_number(crossed['epsilon'])} at delta {crossed['delta']:g}) for each person in it, charged to them in the "
        "ledger of their institution, which counts it beside all else that they paid for."
    )
    lines = [
        f"One encrypted vector of numbers, added to the others' before anybody can read it, and nothing else. {cost}",
        "",
        "| quantity | numbers | one person moves it by at most (L2) | noise of each number (std) "
        "| share of the squared budget | PLE of it alone | epsilon of it alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in crossed["quantities"]:
        cells = (
            f"{one['quantity']}: {one['says']}", str(one["numbers"]), _number(one["sensitivity"]),
            _number(one["noise_std"]), _percent(one["share"]), _number(one["ple_sigma"]), _number(one["epsilon"]),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "Bounds are declared and hold whatever a person is. They are about a person's genotypes, traits and record, "
        "the released files being given: what the files themselves tell is bounded by masking and group size.",
    ]


def _rates(first: str, second: str, rows: Sequence[Mapping[str, Any]], shown: Any) -> list[str]:
    ordered = sorted(rows, key=lambda row: -row["rate"])
    lines = [f"| {first} | {second} | 95 % |", "|---|---|---|"]
    return [*lines, *(f"| {row['name']} | {shown(row['rate'])} | {_range(row['rate_95'], shown)} |" for row in ordered)]


def _trait(one: Mapping[str, Any]) -> str:
    cells = [one["name"], {"auc": "AUC", "r2": "R^2"}[one["measure"]]]
    for name in ("released", "raw", "ratio"):
        cells += [_number(one[name]), _range(one[f"{name}_95"], _number)]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _range(pair: Sequence[float] | None, shown: Any) -> str:
    return "-" if pair is None else f"{shown(pair[0])} to {shown(pair[1])}"
