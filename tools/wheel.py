#!/usr/bin/env python
"""Build dist/afml-VERSION-py3-none-any.whl; the same source gives the same bytes, on any machine and at any time.

python tools/wheel.py [OUT]   # offline: what it builds with is in the environment already

The packages are copied to an empty folder first, so that nothing that an earlier build left gets in; modes and times
are fixed (SOURCE_DATE_EPOCH, by default the last commit's, see reproducible-builds.org).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("afml", "node", "aggregator", "crypto")
FILES = ("pyproject.toml", "README.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def epoch() -> str:
    """Seconds since 1970 that all files are dated by."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    found = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "315532800"  # no repository: 1980, where zip files begin


def build(out: Path) -> Path:
    """Build the wheel into a folder, and name it."""
    with tempfile.TemporaryDirectory() as scratch:
        source, made = Path(scratch) / "source", Path(scratch) / "made"
        source.mkdir()
        for name in FILES:
            shutil.copyfile(ROOT / name, source / name)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, source / name, ignore=LEFT_OUT)
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-index"]
        command += ["--no-deps", "--no-build-isolation", "-w", str(made), str(source)]
        environment = os.environ | {"SOURCE_DATE_EPOCH": epoch(), "PYTHONHASHSEED": "0"}
        subprocess.run(command, env=environment, check=True, umask=0o022)
        wheel = next(made.glob("*.whl"))
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, out / wheel.name))


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
