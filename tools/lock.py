"""Regenerate the lock files: `make lock`. Run it deliberately and read the diff.

What is pinned stays as it is and what `pyproject.toml` newly needs is added; `--upgrade` takes the newest of all.

torch is pinned by version only. Its CPU and CUDA builds differ in bytes, and pip's hash mode is
all or nothing for one file, so torch stands in a file of its own and everything else carries hashes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "-q",
    "--generate-hashes",
    "--allow-unsafe",
    "--strip-extras",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-options",
    "--no-annotate",
]


def compile_lock(extras: list[str], constraint: Path | None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.lock"
        if "--upgrade" not in sys.argv:  # pip-compile keeps the pins that it finds in its output
            out.write_text((ROOT / "requirements.lock").read_text() + (ROOT / "requirements-simulate.lock").read_text())
        command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, "-o", str(out), "pyproject.toml"]
        for extra in extras:
            command += ["--extra", extra]
        if constraint:
            command += ["-c", str(constraint)]
        subprocess.run(command, cwd=ROOT, check=True)
        return out.read_text()


def entries(text: str) -> dict[str, str]:
    """Split a lock into one block per package, keyed by its name."""
    blocks: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        match = re.match(r"^([A-Za-z0-9_.-]+)==", line)
        if match:
            name = match.group(1).lower()
            blocks[name] = ""
        if name and line.strip() and not line.startswith("#"):
            blocks[name] += line + "\n"
    return blocks


def main() -> None:
    base = entries(compile_lock(["dev"], None))
    base.pop("torch", None)
    (ROOT / "requirements.lock").write_text("".join(base.values()))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraint:
        constraint.write("\n".join(re.sub(r" .*", "", b.splitlines()[0]) for b in base.values()) + "\n")
        constraint.flush()
        extra = entries(compile_lock(["dev", "simulate"], Path(constraint.name)))
    only = {name: block for name, block in extra.items() if name not in base and name != "torch"}
    (ROOT / "requirements-simulate.lock").write_text("".join(only.values()))


if __name__ == "__main__":
    main()
