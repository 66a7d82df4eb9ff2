"""Somebody who follows a page at a terminal: its commands as they stand, what it says they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from afml.trial.processes import free_port
from tests import warm
from tests.processes import REPOSITORY, command, environment

_BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.M | re.S)


@dataclass
class Terminal:
    """An empty folder, and somebody who types in it.

    Attributes:
        folder: It.
        said: What the commands have printed since it was last read.
    """

    folder: Path
    said: str = ""
    _port: int = field(default_factory=free_port)
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    @property
    def installed(self) -> Path:
        """Where `pip install` puts things: the environment of the tests stays as it is."""
        return self.folder.parent / "site-packages"

    def follow(self, page: str) -> None:
        """Write the files of a page, type its commands, compare what they print with what it promises."""
        for kind, title, body in _BLOCK.findall(page):
            if title:
                (self.folder / title).write_text(body, encoding="utf-8")
            elif kind == "sh":
                for line in body.splitlines():
                    self.type(line)
            elif kind == "text":
                for line in body.splitlines():
                    assert pattern(line).search(self.said), f"the page promises: {line}\nprinted:\n{self.said}"
                self.said = ""

    def type(self, line: str) -> None:
        """One line, to its end, or in the background."""
        if line == "wait":
            self._wait()
            return
        typed = line.removesuffix(" &").replace("127.0.0.1:7443", f"127.0.0.1:{self._port}")
        options = {"cwd": self.folder, "env": self._environment()}
        if typed == line:
            done = warm.run(self._words(typed), **options)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            self.said += done.stdout + done.stderr
        else:
            with (self.folder / f"{len(self._running)}.log").open("wb") as log:
                process = warm.Popen(self._words(typed), stdout=log, stderr=subprocess.STDOUT, **options)
            self._running.append((line, process))

    def stop(self) -> None:
        """End what still runs."""
        for _, process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _words(self, typed: str) -> list[str]:
        if typed.startswith("afml "):
            return command(*shlex.split(typed)[1:])
        if typed.startswith("pip install "):
            words = shlex.split(typed)
            return [sys.executable, "-m", "pip", *words[1:], "--target", str(self.installed)]
        if re.fullmatch(r"python [\w./-]+\.py", typed):
            script = typed.split()[1]
            return [sys.executable, "-c", f"import runpy; runpy.run_path({script!r}, run_name='__main__')"]
        return ["bash", "-ec", typed]

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        imported = os.pathsep.join([str(self.installed), str(REPOSITORY)])
        return environment() | {"AFML": str(REPOSITORY), "PATH": path, "PYTHONPATH": imported}

    def _wait(self) -> None:
        codes = [process.wait(300) for _, process in self._running]
        logs = [(self.folder / f"{number}.log").read_text() for number in range(len(codes))]
        assert set(codes) == {0}, "\n".join(logs)
        self.said += "".join(logs)
        self._running.clear()


def pattern(expected: str) -> re.Pattern[str]:
    """A line of the page, `...` for whatever differs."""
    return re.compile("^" + ".*".join(map(re.escape, expected.split("..."))) + "$", re.M)
