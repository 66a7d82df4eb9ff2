"""Run benchmark sections: each module of this package that has `run() -> dict` is one.

A module may also hold `BARS`: figure -> (comparison, value); a missed bar is printed, never hidden; and
`SECTION`, where its figures belong under another name than its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from pathlib import Path
from types import ModuleType

import benchmarks
from afml.core.files import write_bytes

OUT = Path("build/bench.json")


def sections() -> list[str]:
    """Names of all sections."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    return [name for name in names if hasattr(importlib.import_module(f"benchmarks.{name}"), "run")]


def merge(path: Path, section: str, figures: dict[str, object]) -> None:
    """Put one section into the JSON file, keeping the figures that others wrote into it."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole.setdefault(section, {}).update(figures)
    write_bytes(path, (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())


def show(module: ModuleType, figures: dict[str, object]) -> None:
    """Print figures beside their bars."""
    bars = getattr(module, "BARS", {})
    for name, value in sorted(figures.items()):
        verdict = ""
        if name in bars and isinstance(value, (int, float)):
            comparison, bar = bars[name]
            met = value <= bar if comparison == "<=" else value >= bar
            verdict = f"   bar {comparison} {bar:g}" + ("" if met else "   MISSED")
        print(f"  {name} = {value}{verdict}", flush=True)


def main() -> None:
    """Entry point."""
    known = sections()
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("section", nargs="*", help=f"of: {', '.join(known)} (default: all)")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    unknown = set(arguments.section) - set(known)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in arguments.section or known:
        print(f"{name} ...", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        figures = module.run()
        merge(arguments.out, getattr(module, "SECTION", name), figures)
        show(module, figures)


if __name__ == "__main__":
    main()
