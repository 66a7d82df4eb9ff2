"""A run's state in one SQLite file (WAL, synchronous=FULL)."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from afml.core.errors import ConfigError
from aggregator.store.base import Files, InPlace
from aggregator.store.sql import SCHEMA, Connection, SqlStore, begin_run, transaction


class Database:
    """SQLite, whose complaints about a disk that is full or fails are OSErrors, as `Store` says."""

    begin = "BEGIN IMMEDIATE"
    words: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        """Open or create; nothing is written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._raw = sqlite3.connect(path, isolation_level=None)
        self.close = self._raw.close

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.in_transaction

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Do one statement.

        Raises:
            OSError: The disk is full, or fails.
        """
        try:
            return self._raw.execute(statement, values)
        except sqlite3.OperationalError as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


class SqliteStore(SqlStore):
    """One file, one run; its version is in `PRAGMA user_version`.

    Attributes:
        files, term: Only who has the file has the run.
    """

    def __init__(self, path: str | Path, config_digest: bytes) -> None:
        """Open or create.

        Raises:
            ConfigError: The file is no store, of another version of AFML, or of another run configuration.
        """
        path = Path(path)
        super().__init__(Database(path))
        self.files: Files = InPlace()
        self.term = 0
        try:
            self._open(path, config_digest)
        except BaseException:
            self._db.close()
            raise

    def _open(self, path: Path, config_digest: bytes) -> None:
        cure = "give every run its own --data folder"
        enter(self._db, path, cure, lambda: begin_run(self._db, config_digest))
        if not self._is_of(config_digest):
            raise ConfigError("holds another run's state", where=path, cure=cure)


def enter(db: Connection, path: Path, cure: str, begin: Callable[[], None]) -> None:
    """Set a file up, and make its tables where none are.

    Args:
        db: Of the file.
        path: The file.
        cure: What to do where it is no such file.
        begin: Makes the tables.

    Raises:
        ConfigError: It is no store, or of another version of AFML.
    """
    try:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    except (sqlite3.DatabaseError, OSError) as error:
        raise ConfigError(f"holds no run's state ({error})", where=path, cure=cure) from None
    if tables and version != SCHEMA:
        raise ConfigError(
            f"is of schema {version}, this version of AFML keeps schema {SCHEMA}",
            where=path,
            cure="finish the run with the version that began it, or begin a new one in another --data folder",
        )
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if not tables:
        with transaction(db):
            begin()
            db.execute(f"PRAGMA user_version={SCHEMA}")
