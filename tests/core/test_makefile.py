"""Makefile: `make setup` says what it does before whatever takes minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_setup_says_what_it_does_before_each_long_step(tmp_path: Path) -> None:
    """In a folder of its own, by an interpreter that installs nothing and tells what it was called with."""
    for name in ("Makefile", "requirements.lock", "requirements-simulate.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$1" in -c) ;; *) echo "typed: $*"; mkdir -p .venv;; esac\n')
    python.chmod(0o700)
    make = ["make", f"PYTHON={python}", f"PY={python}", "setup", ".venv/.ready-simulate"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(make, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    steps = [at for at, line in enumerate(lines) if line.startswith("typed: ")]
    assert [lines[at].split()[2] for at in steps] == ["venv", "pip", "pip", "pip", "pip"]
    told = [lines[at - 1] for at in steps]
    assert all(line.startswith("setup: ") for line in told)
    assert len(set(told)) == len(steps)
    again = subprocess.run(make, cwd=tmp_path, env=alone, capture_output=True, text=True, check=True)
    assert "typed: " not in again.stdout
    assert "setup: .venv is ready" in again.stdout
