"""What a dossier takes: five institutions, a run of 1,000 rounds; made, and checked by the verifier that stands alone.

Seconds of wall time of a process each, its start included; `dossier_mb` is the folder without the printed page (that of
a demo of 24 rounds is a tenth of it). Figures under "audit". Environment: ROUNDS (1000).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from afml.consortium.run import Phase
from tests.dossier.pack import Built

SECTION = "audit"
BARS = {"verifier_s": ("<=", 60.0), "dossier_s": ("<=", 30.0)}


def run() -> dict[str, object]:
    """Make one, and check it."""
    rounds = int(os.environ.get("ROUNDS", "1000"))
    risk = rounds // 5
    phases = (
        Phase(name="risk", rounds=risk, sample_rate=1.0, clip_norm=1.0, noise_multiplier=40.0, learning_rate=0.1),
        Phase(
            name="game", rounds=rounds - risk, sample_rate=0.1, clip_norm=1.0, noise_multiplier=8.0, learning_rate=0.1
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print(f"  five ledgers of {rounds} rounds ...", flush=True)
        built = Built(root, (1, 2, 3, 4, 5), phases)
        works = [word for node in built.nodes for word in ("--work", str(root / f"work-{node}"))]
        given = [
            "--kit",
            root / "kits" / "node-1",
            "--run",
            root / "run.json",
            "--transcript",
            root / "transcript.jsonl",
        ]
        given += ["--report", root / "report.json", "--out", root / "dossier"]
        made = _timed([sys.executable, "-m", "afml", "audit", "dossier", *works, *map(str, given)])
        checked = _timed([sys.executable, "-I", str(root / "dossier" / "verify.py")])
        size = sum(path.stat().st_size for path in (root / "dossier").rglob("*") if path.is_file())
        printed = root / "dossier" / "dossier.pdf"
        size -= printed.stat().st_size if printed.exists() else 0
    return {
        "dossier_s": round(made, 1),
        "verifier_s": round(checked, 1),
        "dossier_mb": round(size / 1e6, 2),
        "dossier_rounds": rounds,
    }


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} ...: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return time.monotonic() - began
