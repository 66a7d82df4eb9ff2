"""docs/AUDIT.md, followed from an empty folder to the proof: its commands as they stand, what it says they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from afml.trial.processes import free_port
from tests import warm
from tests.processes import REPOSITORY, command, environment

PAGE = REPOSITORY / "docs" / "AUDIT.md"
_WALK = re.compile(r"^## From an empty folder to proof\n(.*?)^## ", re.M | re.S)
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
_FIGURE = re.compile(r"these 400 people have spent\s+(0\.\d+ of 0\.\d+ sigma)")


def walk() -> str:
    found = _WALK.search(PAGE.read_text(encoding="utf-8"))
    assert found
    return found[1]


@dataclass
class Officer:
    """Somebody at a terminal in an empty folder.

    Attributes:
        folder: It.
        said: What the commands have printed since it was last read.
    """

    folder: Path
    said: str = ""
    _port: int = field(default_factory=free_port)
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def type(self, line: str) -> None:
        """One line, to its end, or in the background."""
        if line == "wait":
            self._wait()
            return
        typed = line.removesuffix(" &").replace("127.0.0.1:7443", f"127.0.0.1:{self._port}")
        own = typed.startswith("afml ")
        argv = command(*shlex.split(typed)[1:]) if own else ["bash", "-ec", typed]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        options = {"cwd": self.folder, "env": environment() | {"AFML": str(REPOSITORY), "PATH": path}}
        if typed == line:
            done = warm.run(argv, **options)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            self.said += done.stdout + done.stderr
        else:
            with (self.folder / f"{len(self._running)}.log").open("wb") as log:
                process = warm.Popen(argv, stdout=log, stderr=subprocess.STDOUT, **options)
            self._running.append((line, process))

    def _wait(self) -> None:
        codes = [process.wait(300) for _, process in self._running]
        logs = [(self.folder / f"{number}.log").read_text() for number in range(len(codes))]
        assert set(codes) == {0}, "\n".join(logs)
        self.said += "".join(logs)
        self._running.clear()

    def stop(self) -> None:
        for _, process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def officer(tmp_path: Path) -> Iterator[Officer]:
    made = Officer(tmp_path / "empty")
    made.folder.mkdir()
    yield made
    made.stop()


def pattern(expected: str) -> re.Pattern[str]:
    """A line of the page, `...` for whatever differs."""
    return re.compile("^" + ".*".join(map(re.escape, expected.split("..."))) + "$", re.M)


def test_an_officer_gets_from_an_empty_folder_to_the_figure_and_its_proof(officer: Officer) -> None:
    for kind, body in _BLOCK.findall(walk()):
        if kind == "sh":
            for line in body.splitlines():
                officer.type(line)
            continue
        for line in body.splitlines():
            assert pattern(line).search(officer.said), f"the page promises: {line}\nprinted:\n{officer.said}"
        officer.said = ""
    promised = _FIGURE.search(PAGE.read_text(encoding="utf-8"))
    assert promised
    for name in ("ledger.html", "ledger.json"):
        assert (officer.folder / "proof" / name).is_file()
    proof = (officer.folder / "proof" / "ledger.html").read_text()
    assert f"400 people have spent {promised[1]} at most" in proof
    assert "nothing found" in proof
    assert "not checked" not in proof
    assert "SIM0" not in proof


def test_every_figure_of_the_walk_is_the_one_that_its_commands_print() -> None:
    text = walk()
    printed = "".join(body for kind, body in _BLOCK.findall(text) if kind == "text")
    prose = _BLOCK.sub("", text)
    for figure in re.findall(r"\b0\.\d{3}\b", prose):
        assert figure in printed, figure
