"""Commands as processes of their own, and who of them still runs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def listening(port: int) -> None:
    """Wait until somebody accepts connections."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def afml(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=300, **options
    )


def command(*arguments: object, crash: str = "") -> list[str]:
    """A command line; `crash` is an instruction to die at, see `tests.federation.crashing`."""
    module = ["tests.federation.crashing", *crash.split(), "--"] if crash else ["afml"]
    return [sys.executable, "-m", *module, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def alive(marker: object) -> list[int]:
    """Processes that inherited AFML_TEST_MARK=marker, whoever their parent is now."""
    wanted, found = f"AFML_TEST_MARK={marker}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            running = (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if running and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
