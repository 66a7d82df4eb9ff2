"""A PostgreSQL server of the tests' own: Debian's, on a Unix socket in a folder of its own, gone with the tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from afml.core.children import die_with_parent
from tests.processes import until

_FAST = ("fsync=off", "listen_addresses=", "shared_buffers=16MB", "max_connections=40", "log_min_messages=fatal")


def _binaries() -> Path | None:
    """Where Debian's package keeps them, the newest first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    return found[0].parent if found else None


def _account() -> dict[str, int]:
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return {}
    with contextlib.suppress(KeyError):
        found = pwd.getpwnam("postgres")
        return {"user": found.pw_uid, "group": found.pw_gid}
    found = pwd.getpwnam("nobody")
    return {"user": found.pw_uid, "group": found.pw_gid}


class Server:
    """A running server; each database of it is new."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._folder, self._names, self._account = folder, itertools.count(1), _account()
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])
        data = str(folder / "data")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        make = [
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            "afml",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--no-locale",
        ]
        subprocess.run(make, check=True, **self._account, **quiet)  # type: ignore[call-overload]
        settings = [word for one in _FAST for word in ("-c", one)]
        self.process = subprocess.Popen(  # type: ignore[call-overload]
            [str(binaries / "postgres"), "-D", data, "-k", str(folder), *settings],
            preexec_fn=die_with_parent, **self._account, **quiet,
        )  # fmt: skip
        until(self._answers)

    def database(self) -> str:
        """The URL of a new database."""
        name = f"d{next(self._names)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def ask(self, url: str, statement: str) -> list[tuple[object, ...]]:
        """What a statement finds in a database, in a session apart."""
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # does not wait for clients
        self.process.wait()

    def _url(self, database: str) -> str:
        return f"postgresql://afml@/{database}?host={self._folder}"

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the server ended"
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self._url("postgres")).close()
            return True
        return False


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server while the block runs; skips where PostgreSQL is not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="afml-pg-", dir="/tmp"))  # a socket's path may have 107 bytes
    try:
        server = Server(binaries, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
