"""Commands as processes of their own, and who of them still runs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import warm
from tests.warm import MARK

REPOSITORY = Path(__file__).resolve().parents[1]


def listening(port: int) -> None:
    """Wait until somebody accepts connections."""
    deadline = time.monotonic() + 600
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def until(there: Callable[[], bool]) -> None:
    """Wait for something that is sure to come."""
    deadline = time.monotonic() + 600  # only what never comes takes as long, however busy the machine is
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def afml(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return warm.run(command(*arguments), env=environment(), **options)


def command(*arguments: object, crash: str = "") -> list[str]:
    """A command line; `crash` is an instruction to die at, see `tests.federation.crashing`."""
    module = ["tests.federation.crashing", *crash.split(), "--"] if crash else ["afml"]
    return [sys.executable, "-m", *module, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def alive(marker: object) -> list[int]:
    """Processes that inherited AFML_TEST_MARK=marker, whoever their parent is now."""
    wanted, found = f"{MARK}={marker}", []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            running = (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if running and (wanted.encode() in (folder / "environ").read_bytes().split(b"\0") or _says(folder, wanted)):
                found.append(int(folder.name))
    return found


def _says(process: Path, wanted: str) -> bool:
    """Whether a forked process says so by an open file in memory: its environ in /proc is another's."""
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link).removeprefix("/memfd:").removesuffix(" (deleted)") == wanted:
                return True
    return False
