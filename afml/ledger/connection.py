"""One SQLite connection that several threads use.

SQLite itself takes one call after another. The module around it keeps statements for whoever asks for the same words
next, and lets other threads in while one is inside: a process with two threads at one statement has died in there. So
no statement is kept here, and one thread at a time is inside.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self


class Cursor(sqlite3.Cursor):
    """Rows of a statement; each call waits for those of other threads on its connection."""

    connection: Connection

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """As `sqlite3.Cursor`, when it is this thread's turn."""
        with self.connection.turn:
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Likewise, for each of `parameters`."""
        # What makes the rows runs between two calls, not inside: it may itself wait for another thread.
        with self.connection.turn:
            return super().executemany(sql, list(parameters))

    def fetchone(self) -> Any:
        """The next row, or None."""
        with self.connection.turn:
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        with self.connection.turn:
            return super().fetchall()

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        """As many of the rows that are left."""
        with self.connection.turn:
            return super().fetchmany(size)

    def __next__(self) -> Any:
        with self.connection.turn:
            return super().__next__()


class Connection(sqlite3.Connection):
    """A connection for several threads; statements outside of transactions are on disk when they return.

    Args:
        path: The database's file.
        timeout: Seconds to wait for another process.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__(path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=0)
        self.turn = threading.RLock()

    def cursor(self, factory: Callable[[sqlite3.Connection], Any] | None = None) -> Any:
        """One that waits for its turn."""
        return super().cursor(factory or Cursor)
