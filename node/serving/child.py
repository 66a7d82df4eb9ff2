"""A run under the daemon: `afml node` in a process of its own, so that what ends one run ends no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from afml.core.children import SAFE_PATH

WITHIN = "afml.cli.within"
"""Module that runs a command of ours until the process that started it is gone."""


class Child:
    """One process that plays one run; it ends when the daemon is killed.

    Args:
        command: What follows `afml`.
        log: Its output is appended there.
        held: Handle of the lock of the daemon's folder: as long as the process lives, no other daemon takes the folder.

    Attributes:
        launch: What starts it: `subprocess.Popen`, or something that takes what it takes and is one.
    """

    launch: ClassVar[type[subprocess.Popen[bytes]]] = subprocess.Popen

    def __init__(self, command: Sequence[object], log: Path, held: int) -> None:
        with log.open("ab") as out:
            self._process = self.launch(
                [sys.executable, "-m", WITHIN, str(os.getpid()), *map(str, command)],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONUNBUFFERED": "1", **SAFE_PATH},
                pass_fds=(held,),
                start_new_session=True,  # ^C in a terminal is the daemon's, which then ends its children in order
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def code(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it lives."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to finish what it has paid for and to end."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End it now, if it lives: it can be started again at any instruction."""
        self._process.kill()
        self._process.wait()
