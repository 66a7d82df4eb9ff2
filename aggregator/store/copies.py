"""Copies of a run's files in PostgreSQL, for whoever takes the run over on another machine.

Lines of a transcript are copied within the decision that they are of, by the session that decides. Sums and letters are
large, and their copies are made before anything is decided of them: by a session of their own, in a thread, so that a
database far away keeps nobody waiting. That session does not hold the run's lock. Each of its copies is one transaction
that reads the run's term and keeps it from being raised until it ends: a process that has been replaced copies nothing.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from afml.core.errors import AfmlError
from afml.core.files import staged_file
from aggregator.store.base import Files, Lost
from aggregator.store.sql import Connection, transaction

PIECE = 1 << 20
"""Bytes of a file's copy in a row, at most."""
TABLES = """
CREATE TABLE files (
  name TEXT, begins INTEGER, content BLOB NOT NULL, PRIMARY KEY (name, begins))
"""


class Copies:
    """By the session that decides.

    Args:
        db: It.
        aside: By another one.
    """

    def __init__(self, db: Connection, aside: Files) -> None:
        self._db, self.aside = db, aside

    def keep(self, name: str, path: Path) -> None:
        """Keep what the file has more than its copy."""
        with transaction(self._db):
            _keep(self._db, name, path)

    def bring(self, name: str, path: Path) -> None:
        """Put a file there out of its copy, where none is there and a copy is."""
        _bring(self._db, name, path)

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        """Remove the copies of files of these names."""
        with transaction(self._db):
            _drop(self._db, unwanted)


class Aside:
    """By a session of its own, which is opened when it is first needed, and again when the server has ended it.

    Args:
        opened: Opens one.
        term: Of the run, as it was taken on.
    """

    def __init__(self, opened: Callable[[], Connection], term: int) -> None:
        self._opened, self._term, self._lock = opened, term, threading.Lock()
        self._session: Connection | None = None
        self._closed = False

    @property
    def aside(self) -> Files:
        """Itself."""
        return self

    def keep(self, name: str, path: Path) -> None:
        """Keep what the file has more than its copy.

        Raises:
            Lost: Another process has taken the run on.
        """
        with self._in_term() as session:
            _keep(session, name, path)

    def bring(self, name: str, path: Path) -> None:
        """Put a file there out of its copy, where none is there and a copy is. Errors as of `keep`."""
        if not path.exists():
            with self._in_term() as session:
                _bring(session, name, path)

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        """Remove the copies of files of these names. Errors as of `keep`."""
        with self._in_term() as session:
            _drop(session, unwanted)

    def close(self) -> None:
        """Close the session, and open none any more."""
        with self._lock:
            self._closed = True
            if self._session is not None:
                self._session.close()

    @contextmanager
    def _in_term(self) -> Iterator[Connection]:
        with self._lock:
            session = self._answering()
            with transaction(session):
                if session.execute("SELECT term FROM serving FOR SHARE").fetchone() != (self._term,):
                    raise Lost(errno.EIO, "another process has taken the run on")
                yield session

    def _answering(self) -> Connection:
        if self._closed:
            raise Lost(errno.EIO, "the store is closed")
        if self._session is not None:
            try:
                self._session.execute("SELECT 1")
                return self._session
            except Lost:  # it was silent for long; whether the run is lost with it, its term says
                self._session = None
        try:
            self._session = self._opened()
        except AfmlError as error:
            raise OSError(errno.EIO, error.problem) from error
        return self._session


def _keep(db: Connection, name: str, path: Path) -> None:
    statement = "SELECT COALESCE(MAX(begins + length(content)), 0) FROM files WHERE name=?"
    with path.open("rb") as file:
        (at,) = db.execute(statement, (name,)).fetchone()
        file.seek(at)
        while piece := file.read(PIECE):
            db.execute("INSERT INTO files VALUES (?, ?, ?)", (name, at, piece))
            at += len(piece)


def _bring(db: Connection, name: str, path: Path) -> None:
    if path.exists():
        return
    pieces = _pieces(db, name)
    if (first := next(pieces, None)) is None:
        return
    with staged_file(path) as staged, staged.open("wb") as out:
        out.write(first)
        out.writelines(pieces)


def _drop(db: Connection, unwanted: Callable[[str], bool]) -> None:
    names = [name for (name,) in db.execute("SELECT DISTINCT name FROM files").fetchall()]
    for name in filter(unwanted, names):
        db.execute("DELETE FROM files WHERE name=?", (name,))


def _pieces(db: Connection, name: str) -> Iterator[bytes]:
    at = 0
    while row := db.execute("SELECT content FROM files WHERE name=? AND begins=?", (name, at)).fetchone():
        yield row[0]
        at += len(row[0])
