"""Between which two ends the verifier's own arithmetic has what was spent: its code, run where the dossier is made.

So that a page can print them: the verifier holds them to what it finds itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from afml.dossier.standalone import KINDS, Ledger, bounds

PARTS = {"spent": "spent", "broken": "broken", "drawn": "drawn", "committed": "taken"}
"""What is said of an enrolment, and which part of the steps in a ledger it is of."""
ENDS = tuple(
    (f"{said}_{kind}_{end}", f"/ends/{said}/{kind}/{at}", unit, f"{words}: {told} by verify.py's own arithmetic")
    for said, kind, unit, words in (
        ("spent", "ple", "sigma", "what was spent"), ("spent", "epsilon", "epsilon", "what was spent, as epsilon"),
        ("broken", "ple", "sigma", "what was spent if aggregation was broken"),
        ("drawn", "ple", "sigma", "what was spent if draws are known"),
        ("committed", "ple", "sigma", "what is taken, in sigma"),
    )
    for at, (end, told) in enumerate((("low", "lower end"), ("high", "upper end, of all that its ledger holds,")))
)  # fmt: skip
"""Fields of accounting.json that statements are made of: name, JSON pointer, unit, words."""


def ends_of(ledger: Path, enrolments: Iterable[dict[str, Any]]) -> None:
    """Add to each line of accounting.json `ends`: of epsilon and PLE, in sigma, the lower end and the upper.

    The lower is of what the entries of the enrolment compose to; the upper of all that its ledger holds, since a person
    may be in each of its enrolments. Null where nothing bounds it.

    Args:
        ledger: Folder of the ledger in the dossier.
        enrolments: The lines of its enrolments.
    """
    held = Ledger(ledger.name, {}, (ledger / "entries.jsonl").read_bytes().split(b"\n")[:-1])
    deltas = {body["enrolment"]: body["lifetime"]["delta"] for body in held.of("spend", "reservation")}
    for line in enrolments:
        if "spent" not in line:
            continue  # a simulation, or nothing that was spent
        of, delta = line["enrolment"], float(deltas[line["enrolment"]])
        line["ends"] = {
            said: dict(zip(KINDS, map(_both, *(bounds(held.composition(part, its), delta)[:2] for its in (of, ""))),
                           strict=True))
            for said, part in PARTS.items()
        }  # fmt: skip


def _both(own: tuple[float, float], whole: tuple[float, float]) -> list[float | None]:
    """The lower end of an enrolment's own spends and the upper one of its ledger's."""
    return [one if math.isfinite(one) else None for one in (own[0], whole[1])]
