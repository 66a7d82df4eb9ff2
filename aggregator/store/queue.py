"""What an aggregator of many runs remembers of them: which were submitted, in which order, and which are over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aggregator.store.sql import Connection, create
from aggregator.store.sqlite import Database, enter

TABLES = """
CREATE TABLE submitted (
  number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, config_digest BLOB NOT NULL UNIQUE,
  config BLOB NOT NULL, signature BLOB NOT NULL, done INTEGER NOT NULL)
"""


@dataclass(frozen=True)
class Submitted:
    """A run that was submitted.

    Attributes:
        number: Its place in the order of submission, from 1.
        run: Its name; one run has it.
        digest: Of its configuration.
        over: Whether it has ended, well or badly.
    """

    number: int
    run: str
    digest: bytes
    over: bool


@dataclass(frozen=True)
class Papers:
    """What a run was submitted as: the bytes of run.json and run.sig."""

    config: bytes
    signature: bytes


class Queue(Protocol):
    """The runs of one aggregator. Errors are those of a store (`aggregator.store.base.Store`)."""

    def add(self, run: str, digest: bytes, papers: Papers) -> None:
        """Record a run behind all others; nobody of its name or digest is there."""

    def all(self) -> list[Submitted]:
        """Every run, in order."""

    def papers(self, number: int) -> Papers:
        """What a run was submitted as."""

    def end(self, number: int) -> None:
        """Record that a run is over."""

    def close(self) -> None:
        """Let go of files and connections."""


class SqlQueue:
    """A table."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def add(self, run: str, digest: bytes, papers: Papers) -> None:
        """Record a run behind all others."""
        statement = "INSERT INTO submitted SELECT COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, 0 FROM submitted"
        self._db.execute(statement, (run, digest, papers.config, papers.signature))

    def all(self) -> list[Submitted]:
        """Every run, in order."""
        rows = self._db.execute("SELECT number, run, config_digest, done FROM submitted ORDER BY number")
        return [Submitted(number, run, digest, bool(done)) for number, run, digest, done in rows]

    def papers(self, number: int) -> Papers:
        """What a run was submitted as."""
        statement = "SELECT config, signature FROM submitted WHERE number=?"
        return Papers(*self._db.execute(statement, (number,)).fetchone())

    def end(self, number: int) -> None:
        """Record that a run is over."""
        self._db.execute("UPDATE submitted SET done=1 WHERE number=?", (number,))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


class SqliteQueue(SqlQueue):
    """A file."""

    def __init__(self, place: str) -> None:
        """Open or create the file at `place`.

        Raises:
            ConfigError: It is no such file, or of another version of AFML.
        """
        db = Database(Path(place))
        super().__init__(db)
        try:
            enter(db, Path(place), "give the aggregator another --data folder", lambda: create(db, TABLES))
        except BaseException:
            db.close()
            raise
