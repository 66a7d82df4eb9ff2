"""What a dossier takes and holds: that of a demo, and that of five institutions after a run of 1,000 rounds.

Of a demo: seconds of `afml audit dossier`, size of its folder without the printed page, and how much of each form
evidence fills (`fields_filled` is the smallest share). Of 1,000 rounds: seconds to make one, and of the verifier that
stands alone. Seconds are wall time of a process, its start included. Figures under "audit".

Environment: DEMO, a folder that `afml demo --out` left (by default a small demo is made, two minutes); ROUNDS (1000).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from afml.consortium.run import Phase
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fields_filled, fill_all
from afml.dossier.forms.output import told
from tests.dossier.pack import Built

SECTION = "audit"
BARS = {
    "dossier_s": ("<=", 30.0), "dossier_mb": ("<=", 5.0), "fields_filled": (">=", 0.8), "verifier_s": ("<=", 60.0),
}  # fmt: skip
SMALL = ("--nodes", "3", "--sites", "256", "--rounds", "4", "--game-rounds", "1", "--game-steps", "20")


def run() -> dict[str, object]:
    """Both."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(os.environ["DEMO"]) if "DEMO" in os.environ else Path(folder) / "demo"
        if "DEMO" not in os.environ:
            _timed("demo", "--out", demo, *SMALL)
        found = _of_demo(demo, Path(folder) / "dossier")
    with tempfile.TemporaryDirectory() as folder:
        return found | _of_many_rounds(Path(folder), int(os.environ.get("ROUNDS", "1000")))


def _of_demo(demo: Path, out: Path) -> dict[str, object]:
    works = sorted(path for path in demo.glob("node-*") if path.is_dir())
    kit, transcript = demo / "kits" / works[0].name, demo / "aggregator" / "transcript.jsonl"
    taken = _dossier(works, kit, demo / "run.json", transcript, demo / "report.json", out)
    filled = fill_all(collect(out))
    for line in told(filled):
        print(f"  {line}")
    shares = {f"fields_filled_{one.form.id}": one.share for one in filled}
    return {"dossier_s": taken, "dossier_mb": _megabytes(out), "fields_filled": fields_filled(filled)} | shares


def _of_many_rounds(root: Path, rounds: int) -> dict[str, object]:
    kinds = (("risk", rounds // 5, 1.0, 40.0), ("game", rounds - rounds // 5, 0.1, 8.0))
    phases = tuple(
        Phase(name=name, rounds=many, sample_rate=rate, clip_norm=1.0, noise_multiplier=z, learning_rate=0.1)
        for name, many, rate, z in kinds
    )
    print(f"  five ledgers of {rounds} rounds ...", flush=True)
    built = Built(root, (1, 2, 3, 4, 5), phases)
    works = [root / f"work-{node}" for node in built.nodes]
    given = root / "kits" / "node-1", root / "run.json", root / "transcript.jsonl", root / "report.json"
    taken = _dossier(works, *given, root / "dossier")
    began = time.monotonic()
    subprocess.run([sys.executable, "-I", root / "dossier" / "verify.py"], check=True, capture_output=True)
    return {
        "verifier_s": round(time.monotonic() - began, 1),
        f"dossier_s_{rounds}_rounds": taken,
        f"dossier_mb_{rounds}_rounds": _megabytes(root / "dossier"),
    }


def _dossier(works: Sequence[Path], kit: Path, run_file: Path, transcript: Path, report: Path, out: Path) -> float:
    institutions = [word for work in works for word in ("--work", work)]
    given = ("--kit", kit, "--run", run_file, "--transcript", transcript, "--report", report, "--out", out)
    return _timed("audit", "dossier", *institutions, *given)


def _megabytes(folder: Path) -> float:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pdf"]
    return round(sum(path.stat().st_size for path in files) / 1e6, 2)


def _timed(*words: object) -> float:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "afml", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"afml {words[0]} {words[1]} ...: {done.stderr[-1500:]}")
    return round(time.monotonic() - began, 1)
