"""Who is held out, the same each time, in work folders that real runs take: of an institution's own key, not a seed."""

from __future__ import annotations

from pathlib import Path

from afml.core.files import write_secret


def fixed_holdout(work: Path, seed: int = 7) -> Path:
    """Give a work folder that is still to be prepared the key by which `afml prepare --seed` would draw."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (work / "holdout.key").exists():
        write_secret(work / "holdout.key", f"holdout {seed}".encode())
    return work
