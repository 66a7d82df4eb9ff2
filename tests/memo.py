"""Composed privacy losses that forked commands share: the numbers are the same, and computed once.

Every node composes the plan of its run and what its people have spent, and its peers compose the same at the same time.
That takes a third of what a small run takes, and depends on the events and delta alone. Only commands that
tests/warm.py forks look here; the tests of the accountants compute.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

from afml.privacy import prv
from afml.training.foreign import sandbox

_KEPT = 32  # files of some megabytes; what is asked for again is asked for soon


def share_compositions(folder: Path) -> None:
    """Have this process and those that it forks keep what they compose in a folder, and look there first."""
    compute = prv._composed

    def composed(*asked: Any) -> Any:
        if sandbox.confined():  # the folder is out of its reach
            return compute(*asked)
        path = folder / hashlib.sha256(repr(asked).encode()).hexdigest()
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who computes the same waits
            if path.exists():
                return pickle.loads(path.read_bytes())
            made = compute(*asked)
            staged = path.with_suffix(f".{os.getpid()}")
            staged.write_bytes(pickle.dumps(made, pickle.HIGHEST_PROTOCOL))
            staged.rename(path)
            for old in sorted((one for one in folder.iterdir() if not one.suffix), key=_age)[:-_KEPT]:
                old.unlink(missing_ok=True)
        return made

    prv._composed = composed


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was faster
        return 0.0
