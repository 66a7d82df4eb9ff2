"""How much of each form the evidence of a finished demo fills: `audit.fields_filled` is the smallest share.

`DEMO=FOLDER` names what `afml demo --out FOLDER` left (build/demo by default); its evidence is gathered anew.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from afml.dossier.evidence import Sources, gather
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fields_filled, fill_all
from afml.dossier.forms.output import told

SECTION = "audit"
BARS = {"fields_filled": (">=", 0.8)}


def run() -> dict[str, Any]:
    """The smallest share, and that of each form."""
    demo = Path(os.environ.get("DEMO", "build/demo"))
    works = tuple(sorted(demo.glob("node-*")))
    if not (demo / "report.json").is_file() or not works:
        raise SystemExit(f"no finished demo in {demo}: run `make demo`, or name one as DEMO=FOLDER")
    sources = Sources(
        works, demo / "kits" / works[0].name, demo / "run.json", (demo / "aggregator" / "transcript.jsonl",), (),
        demo / "report.json",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        gather(sources, Path(folder))
        filled = fill_all(collect(Path(folder)))
    for line in told(filled):
        print(f"  {line}")
    return {"fields_filled": fields_filled(filled)} | {f"fields_filled_{one.form.id}": one.share for one in filled}
