"""Real consoles of simulated parties, each a process of its own on loopback."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests import warm
from tests.console import made
from tests.processes import REPOSITORY, command, environment

LINK = re.compile(r"sign in once: (http://127\.0\.0\.1:(\d+)/sign-in\?token=(\S+))")


@dataclass
class Answer:
    """What came back."""

    code: int
    headers: dict[str, str]
    text: str
    cookies: list[str]


@dataclass
class Served:
    """A console process.

    Attributes:
        process: It.
        port: Of loopback.
        token: Of its first link; "" where a file holds it.
    """

    process: subprocess.Popen[str]
    port: int
    token: str

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_token(self) -> str:
        """Of the link that is printed once the one before was used."""
        assert self.process.stdout is not None
        found = LINK.search(self.process.stdout.readline())
        assert found
        return found[3]

    def open(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        told = {"Host": f"127.0.0.1:{self.port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=told)
        return connection

    def ask(self, path: str, method: str = "GET", form: dict[str, str] | None = None, **headers: str) -> Answer:
        body = None if form is None else urlencode(form)
        connection = self.open(path, method, body, **headers)
        try:
            answer: HTTPResponse = connection.getresponse()
            text = answer.read().decode()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, text,
                answer.headers.get_all("set-cookie") or [],
            )  # fmt: skip
        finally:
            connection.close()

    def sign_in(self) -> str:
        """By the link; the cookie as a browser sends it back."""
        answer = self.ask(f"/sign-in?token={self.token}")
        assert answer.code == 200, answer.text
        self.token = self.next_token()
        return answer.cookies[0].split(";")[0]


Start = Callable[..., Served]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Start consoles; they are stopped at the end."""
    processes: list[subprocess.Popen[str]] = []

    def started(*arguments: object) -> Served:
        process = warm.Popen(
            command("console", *arguments, "--listen", "127.0.0.1:0"), cwd=REPOSITORY, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        processes.append(process)
        first, second = process.stdout.readline(), process.stdout.readline()
        told = re.search(r"console at http://127\.0\.0\.1:(\d+)", first)
        assert told, first + process.stdout.read()
        link = LINK.search(second)
        return Served(process, int(told[1]), link[3] if link else "")

    yield started
    for process in processes:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An institution that is only looked at."""
    root = tmp_path_factory.mktemp("site")
    made.institution(root)
    return root


@pytest.fixture(scope="session")
def served(site: Path, start: Start) -> Served:
    """Its console."""
    kit, report = site / "kits" / "node-1", site / "report" / "report.json"
    return start(site / "work", "--kit", kit, "--run", site / "signed", "--report", report)


@pytest.fixture
def summing(tmp_path: Path) -> Path:
    """An aggregator in mid-run, which goes on in some tests."""
    root = tmp_path / "aggregator"
    root.mkdir()
    made.aggregator(root)
    return root


@pytest.fixture
def overseen(summing: Path, start: Start) -> Served:
    """Its console."""
    return start(summing / "data", "--kit", summing / "kits" / "aggregator")
