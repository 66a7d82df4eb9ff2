#!/usr/bin/env python
"""Write the manifest of a release: `make manifest`, from a checkout as it was committed.

SHA-256 of every file of the packages, as `sha256sum` writes it: what `afml version --evidence --manifest` and
`sha256sum --check` compare an installation with. The same commit gives the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of this checkout, whatever is installed

from afml.core.files import write_bytes  # noqa: E402
from afml.operate.installed import PACKAGES, digests, manifest  # noqa: E402


def uncommitted() -> list[str]:
    """What differs from the commit in the packages, generated and ignored files included; bytecode aside."""
    told = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--", *PACKAGES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in told.stdout.splitlines() if "__pycache__" not in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "manifest.sha256")
    out = parser.parse_args().out
    if changes := uncommitted():
        sys.exit(
            f"manifest: {len(changes)} files of the packages are not as committed ({changes[0].strip()}); commit them"
        )
    files = digests({package: ROOT / package for package in PACKAGES})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, manifest(files))
    print(f"{out}: {len(files)} files")


if __name__ == "__main__":
    main()
