"""Machines of the drill: folders on this one, commands that are typed there, processes that are started and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What starts a process, or something that takes what it takes and is one.
LAUNCH: type[subprocess.Popen[Any]] = subprocess.Popen
PATIENCE_S = 600.0
_LOOK_S = 0.1
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class Surprise(Exception):
    """The drill saw something else than it must; one line."""


class Machines:
    """Everything below one folder.

    Args:
        root: That folder, for its owner alone.
        after: Called after each command.
    """

    def __init__(self, root: Path, after: Callable[[], None] = lambda: None) -> None:
        root.mkdir(mode=0o700, parents=True)
        self.root, self.after = root, after
        self._running: dict[str, subprocess.Popen[Any]] = {}
        self._commands: dict[str, list[str]] = {}
        self._begun: dict[str, int] = {}
        self._to_run = set[str]()

    def do(self, *arguments: object) -> str:
        """Run `afml ARGUMENTS` to its end, which must be a good one; what it said."""
        code, out, err = self._typed(arguments)
        if code != 0:
            raise Surprise(f"`afml {' '.join(map(str, arguments))}` ended with {code}: {err.strip() or out.strip()}")
        return out

    def refused(self, words: str, *arguments: object) -> str:
        """Run `afml ARGUMENTS`, which must be refused with these words; its one line."""
        code, out, err = self._typed(arguments)
        told = [line for line in err.splitlines() if line.startswith("afml: ")]
        if code == 0 or not told or words not in told[-1]:
            raise Surprise(f"`afml {' '.join(map(str, arguments))}` was to be refused ({words}), and said {out + err}")
        return told[-1].removeprefix("afml: ")

    def start(self, name: str, *arguments: object) -> None:
        """Start `afml ARGUMENTS`; by its name it is killed, stopped and started again."""
        self._commands[name] = [sys.executable, "-m", "afml", *map(str, arguments)]
        self.start_again(name)

    def start_again(self, name: str) -> None:
        """The same command, on the same folders."""
        path = self._log(name)
        self._begun[name] = path.stat().st_size if path.exists() else 0
        with path.open("ab") as log:
            self._running[name] = LAUNCH(
                self._commands[name], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
            )  # fmt: skip
        self._to_run.add(name)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self._to_run.discard(name)
        self._running[name].send_signal(signal.SIGKILL)
        self._running[name].wait()

    def stop(self, name: str) -> None:
        """SIGTERM, as `systemctl stop` sends it."""
        self._to_run.discard(name)
        self._running[name].terminate()
        self.ends(name)

    def ends(self, name: str, code: int = 0) -> None:
        """Wait until a process ends by itself, with this code."""
        self._to_run.discard(name)
        found = self._running[name].wait(PATIENCE_S)
        if found != code:
            raise Surprise(f"{name} ended with {found}, not {code}: {self._last(name)}")

    def said(self, name: str) -> str:
        """What a process has said since it was started last."""
        with self._log(name).open("rb") as log:
            log.seek(self._begun[name])
            return log.read().decode(errors="replace")

    def until(self, there: Callable[[], bool], what: str) -> None:
        """Wait for something that must come while everything runs that is to run."""
        deadline = time.monotonic() + PATIENCE_S
        while not there():
            for name in self._to_run:
                if (code := self._running[name].poll()) not in (None, 0):
                    raise Surprise(f"{name} ended with {code} while {what} was awaited: {self._last(name)}")
            if time.monotonic() > deadline:
                raise Surprise(f"in {PATIENCE_S:.0f} s there was not {what}; logs are in {self.root}")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End whatever runs."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def _typed(self, arguments: tuple[object, ...]) -> tuple[int, str, str]:
        process = LAUNCH(
            [sys.executable, "-m", "afml", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True, env=os.environ | _ENVIRONMENT,
        )  # fmt: skip
        out, err = process.communicate(timeout=PATIENCE_S)
        self.after()
        return int(process.returncode), out, err

    def _log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def _last(self, name: str) -> str:
        lines = self.said(name).splitlines() or ["it said nothing"]
        return next((line for line in reversed(lines) if line.startswith("afml: ")), lines[-1])
