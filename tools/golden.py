#!/usr/bin/env python
"""Digests of what a seeded run made, to hold one version of the code against another.

    python tools/golden.py runs/demo   # a finished `afml demo --simulation --seed 1 --fill major`
    python tools/golden.py runs/demo --against simulated      # ... and compare with tests/golden/golden.json

Prints JSON: SHA-256 of the model's arrays, of every institution's released records (in the order of its store: no seed
decides the order of columns), and of every ledger's spends and releases: kind, place, mechanism, plan and people, in
order, without times, keys and commitments. Paths and names of fields that a new version may change stay out of it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pysam

LEDGER_FIELDS = (
    "kind", "run", "round", "attempt", "phase", "cohort", "noise", "mechanism", "broken_multiplier", "clip_norm",
    "plan", "people", "budget", "insecure", "min_group_size", "patterns", "smallest_joint_group",
)  # fmt: skip


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def arrays_digest(arrays: dict[str, np.ndarray]) -> str:
    """Over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def model(folder: Path) -> str:
    """Of a saved model's arrays, but for those that are younger than the recorded digests; its card is left out."""
    with np.load(folder / "model.npz", allow_pickle=False) as stored:
        return arrays_digest({name: stored[name] for name in stored.files if name != "evidence"})


def ledger_events(path: Path) -> list[dict[str, Any]]:
    """Facts of every spend and release that do not depend on keys or clocks, in order."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM entries ORDER BY idx")]
    # Other kinds, and the mark on a release, are younger than the recorded digests.
    kept = [body for body in bodies if body["kind"] in ("spend", "release")]
    fields = {"spend": LEDGER_FIELDS, "release": tuple(name for name in LEDGER_FIELDS if name != "insecure")}
    return [{name: body[name] for name in fields[body["kind"]] if name in body} for body in kept]


def released(work: Path) -> str:
    """Of the released genotypes, people in the order of the store."""
    order = json.loads((work / "columns" / "demo" / "1.json").read_text())
    lines = (work / "people.tsv").read_text().splitlines()[1:]
    rows_of = {line.split("\t")[0]: row for row, line in enumerate(lines)}
    order = [rows_of.get(person, person) for person in order]  # earlier versions have rows there, not names
    vcf = work / "releases" / "demo" / "1" / "release.vcf.gz"
    with pysam.VariantFile(str(vcf)) as opened:
        names = list(opened.header.samples)
        rows = [[record.pos, *(str(record.samples[name].allele_indices) for name in names)] for record in opened]
    place = {person: column for column, person in enumerate(order)}
    aligned = [[row[0], *(row[1 + place[person]] for person in range(len(order)))] for row in rows]
    return hashlib.sha256(canonical(aligned)).hexdigest()


def demo(out: Path) -> dict[str, Any]:
    """Digests of a finished demo."""
    works = sorted(path for path in out.glob("node-*") if path.is_dir())
    models = {model(work / "models" / "demo") for work in works}
    report = json.loads((out / "report.json").read_text())
    return {
        "models": sorted(models),
        "releases": [released(work) for work in works],
        "ledgers": [
            hashlib.sha256(canonical(ledger_events(work / "ledger" / "ledger.db"))).hexdigest() for work in works
        ],
        "report": {key: report["release"][key] for key in ("rr", "utility_ratio", "patterns", "min_group_size")},
    }


def against(name: str, made: dict[str, Any]) -> list[str]:
    """What differs from the recorded digests of a demo."""
    recorded = json.loads((Path(__file__).parents[1] / "tests" / "golden" / "golden.json").read_text())["demo"][name]
    return [key for key in recorded if recorded[key] != made[key]]


if __name__ == "__main__":
    found = demo(Path(sys.argv[1]))
    print(json.dumps(found, indent=2))
    if "--against" in sys.argv:
        different = against(sys.argv[sys.argv.index("--against") + 1], found)
        sys.exit(f"golden: other {', '.join(different)} than recorded" if different else 0)
