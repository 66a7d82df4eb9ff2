"""Child processes: started as a user would, watched together, stopped together; and a port for one to listen on."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from afml.core.children import SAFE_PATH, complaint, die_with_parent
from afml.core.errors import AfmlError

_GRACE_S = 20.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now, chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Child:
    """One running command and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def complaint(self) -> str:
        """The last line it wrote that starts with `afml:`, or its last line."""
        return complaint(self.log)


class ChildFailed(AfmlError):
    """A child ended badly; carries its exit code."""

    def __init__(self, child: Child) -> None:
        super().__init__(child.complaint(), where=child.name, cure=f"its log is {child.log}")
        self.exit_code = child.process.returncode if child.process.returncode > 0 else 1


class Team:
    """Children that live and die together; use as a context manager.

    Attributes:
        launch: What starts a process: `subprocess.Popen`, or something that takes what it takes and is one.
    """

    launch: ClassVar[type[subprocess.Popen[bytes]]] = subprocess.Popen

    def __init__(self, logs: Path, *, threads: int = 1) -> None:
        """`threads`: numerical threads per child."""
        logs.mkdir(parents=True, exist_ok=True)
        self.logs, self._children = logs, list[Child]()
        self._env = os.environ | {
            "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1", **SAFE_PATH,
        }  # fmt: skip

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, arguments: Sequence[object]) -> Child:
        """Run `python -m afml ARGUMENTS`, its output going to a log."""
        return self.start_command(name, [sys.executable, "-m", "afml", *map(str, arguments)])

    def start_command(self, name: str, command: Sequence[str]) -> Child:
        """Run any command, its output going to a log."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as out:
            process = self.launch(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self._env,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def running(self) -> dict[str, int]:
        """Process ids of the children that have not ended, by name."""
        return {child.name: child.process.pid for child in list(self._children) if child.process.returncode is None}

    def wait(
        self, children: Sequence[Child], *, tick: Callable[[], None] = lambda: None, beside: Child | None = None
    ) -> None:
        """Wait for these children; the first that fails ends the wait.

        Args:
            children: All of them.
            tick: Called meanwhile.
            beside: One that they need: it ends the wait if it ends.

        Raises:
            ChildFailed: Names the child, its complaint and its log.
        """
        waiting = list(children)
        while waiting:
            for child in list(waiting):
                code = child.process.poll()
                if code is None:
                    continue
                waiting.remove(child)
                if code != 0:
                    raise ChildFailed(self._first_cause(child))
            if waiting and beside is not None and beside.process.poll() is not None:
                raise ChildFailed(self._first_cause(beside))
            tick()
            time.sleep(0.1)

    def run(self, name: str, arguments: Sequence[object]) -> None:
        """Start one child and wait for it."""
        self.wait([self.start(name, arguments)])

    def answer(self, name: str, arguments: Sequence[object], *, refusals: Collection[int]) -> tuple[bool, str]:
        """Run one child that may refuse what it is asked.

        Args:
            name: Of its log.
            arguments: Of `afml`.
            refusals: Exit codes by which it refuses.

        Returns:
            Whether it did what it was asked, and the last line that it said: its complaint, where it refused.

        Raises:
            ChildFailed: It ended with another code.
        """
        child = self.start(name, arguments)
        code = child.process.wait()
        if code and code not in refusals:
            raise ChildFailed(child)
        return code == 0, child.complaint()

    def run_each(self, jobs: Iterable[tuple[str, Sequence[object]]], *, at_once: int) -> None:
        """Run jobs, each (name, arguments), a few at a time."""
        running: list[Child] = []
        for name, arguments in jobs:
            running.append(self.start(name, arguments))
            if len(running) >= at_once:
                self.wait(running[:1])
                running.pop(0)
        self.wait(running)

    def stop(self) -> None:
        """End every child still running."""
        self.end(self._children)

    def end(self, children: Sequence[Child]) -> None:
        """End those of these children that still run: politely, then not."""
        alive = [c for c in children if c.process.poll() is None]
        for child in alive:
            child.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for child in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()

    def _first_cause(self, child: Child) -> Child:
        """Several may fail together (a node refuses, so the run fails): prefer the one that says why."""
        time.sleep(0.5)
        failed = [c for c in self._children if c.process.poll() not in (None, 0)]
        # Budget refusals (3) and bad input (2) are causes; a failed run (5) and a lost peer (4) follow from them.
        order = {2: 0, 3: 1, 6: 2, 7: 3}
        return min(failed or [child], key=lambda c: order.get(c.process.returncode, 9))
