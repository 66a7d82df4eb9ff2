"""`python -m benchmarks.drill`: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.drill.drill import Drill
from benchmarks.drill.machines import Surprise


def main() -> int:
    parser = argparse.ArgumentParser(prog="drill", description="A consortium loses everything in turn, and goes on.")
    parser.add_argument("--rounds", type=int, default=500, help="of the first run")
    parser.add_argument("--out", type=Path, help="a new folder for everything; by default one in the system's")
    parser.add_argument("--store", default="", help="postgresql://...: two aggregators; by default one, of files")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="afml-drill-")) / "drill"
    try:
        Drill(out, given.rounds, given.store, lambda line: print(line, flush=True)).play()
    except Surprise as surprise:
        print(f"drill: {surprise}; everything is in {out}", file=sys.stderr)
        return 1
    print(f"drill: all of it held; everything is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
