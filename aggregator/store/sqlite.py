"""A run's state in one SQLite file (WAL, synchronous=FULL)."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.consortium.makers import Maker
from afml.consortium.stage import Stage
from afml.core.errors import ConfigError
from aggregator.store.base import (
    Attempts,
    Letter,
    Letters,
    Makers,
    Member,
    Members,
    Orders,
    Position,
    Published,
    Rounds,
    Upload,
    now_ms,
)

SCHEMA = 4
"""Version of the tables below, kept in `PRAGMA user_version`; it grows with every change of them."""

_TABLES = """
CREATE TABLE run (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  config_digest BLOB NOT NULL, stage TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  reason TEXT NOT NULL, since_ms INTEGER NOT NULL);
CREATE TABLE members (
  node INTEGER PRIMARY KEY, enrolment BLOB NOT NULL, left_reason TEXT);
CREATE TABLE tokens (
  round INTEGER, attempt INTEGER, node INTEGER, token BLOB NOT NULL, in_cohort INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (round, attempt, node));
CREATE TABLE uploads (
  round INTEGER, attempt INTEGER, node INTEGER, chunks INTEGER, parameters INTEGER, bytes INTEGER,
  receipt TEXT NOT NULL,
  PRIMARY KEY (round, attempt, node));
CREATE TABLE published (
  round INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, chunks INTEGER, parameters INTEGER);
CREATE TABLE letters (
  sender INTEGER, subject TEXT, header BLOB NOT NULL, path TEXT,
  PRIMARY KEY (subject, sender));
CREATE TABLE digests (
  round INTEGER, node INTEGER, digest BLOB NOT NULL, PRIMARY KEY (round, node));
CREATE TABLE orders (
  number INTEGER PRIMARY KEY, said BLOB NOT NULL);
CREATE TABLE makers (
  subject TEXT PRIMARY KEY, node INTEGER NOT NULL, done INTEGER NOT NULL)
"""

_TOKENS = "SELECT node, token FROM tokens WHERE round=? AND attempt=? AND in_cohort>=? ORDER BY node"


class _Connection:
    """SQLite, whose complaints about a disk that is full or fails are OSErrors, as `Store` says."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw, self.close = raw, raw.close

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._raw.execute(statement, values)
        except sqlite3.OperationalError as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


class SqliteStore:
    """One file, one run, one connection: used from the thread that opened it."""

    def __init__(self, path: str | Path, config_digest: bytes) -> None:
        """Open or create.

        Raises:
            ConfigError: The file is no store, of another version of AFML, or of another run configuration.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = _Connection(sqlite3.connect(path, isolation_level=None))
        try:
            self._open(path, config_digest)
        except BaseException:
            self._db.close()
            raise
        self.members: Members = _Members(self._db)
        self.attempts: Attempts = _Attempts(self._db)
        self.rounds: Rounds = _Rounds(self._db)
        self.letters: Letters = _Letters(self._db)
        self.orders: Orders = _Orders(self._db)
        self.makers: Makers = _Makers(self._db)

    def position(self) -> Position:
        """Where the state machine stands."""
        row = self._db.execute("SELECT stage, round, attempt, reason, since_ms FROM run").fetchone()
        stage, round_number, attempt, reason, since_ms = row
        return Position(Stage(stage), Attempt(round_number, attempt), reason, since_ms)

    def move(self, to: Position) -> None:
        """Put the state machine there."""
        row = (to.stage, *to.attempt, to.reason, to.since_ms)
        self._db.execute("UPDATE run SET stage=?, round=?, attempt=?, reason=?, since_ms=?", row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; an inner one is a savepoint of the outer."""
        inner = self._db.in_transaction
        self._db.execute("SAVEPOINT part" if inner else "BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("RELEASE part" if inner else "COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself ends one that met a full disk
                for undo in ("ROLLBACK TO part", "RELEASE part") if inner else ("ROLLBACK",):
                    self._db.execute(undo)
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _open(self, path: Path, config_digest: bytes) -> None:
        fresh = {"cure": "give every run its own --data folder"}
        try:
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
        except (sqlite3.DatabaseError, OSError) as error:
            raise ConfigError(f"holds no run's state ({error})", where=path, **fresh) from None
        if tables and version != SCHEMA:
            raise ConfigError(
                f"is of schema {version}, this version of AFML keeps schema {SCHEMA}",
                where=path,
                cure="finish the run with the version that began it, or begin a new one in another --data folder",
            )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not tables:
            with self.transaction():
                for table in _TABLES.split(";"):
                    self._db.execute(table)
                self._db.execute(
                    "INSERT INTO run VALUES (1, ?, ?, 0, 0, '', ?)", (config_digest, Stage.ENROLLING, now_ms())
                )
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
        (stored,) = self._db.execute("SELECT config_digest FROM run").fetchone()
        if stored != config_digest:
            raise ConfigError("holds another run's state", where=path, **fresh)


class _Part:
    def __init__(self, db: _Connection) -> None:
        self._db = db


class _Members(_Part):
    def all(self) -> dict[int, Member]:
        rows = self._db.execute("SELECT node, enrolment, left_reason FROM members ORDER BY node")
        return {node: Member(enrolment, left) for node, enrolment, left in rows}

    def add(self, node: int, enrolment: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO members VALUES (?, ?, NULL)", (node, enrolment))

    def mark_left(self, node: int, reason: str) -> None:
        self._db.execute("UPDATE members SET left_reason=? WHERE node=? AND left_reason IS NULL", (reason, node))


class _Attempts(_Part):
    def tokens(self, attempt: Attempt) -> dict[int, bytes]:
        return dict(self._db.execute(_TOKENS, (*attempt, 0)).fetchall())

    def add_token(self, attempt: Attempt, node: int, token: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, 0)", (*attempt, node, token))

    def cohort(self, attempt: Attempt) -> dict[int, bytes]:
        return dict(self._db.execute(_TOKENS, (*attempt, 1)).fetchall())

    def fix_cohort(self, attempt: Attempt) -> None:
        self._db.execute("UPDATE tokens SET in_cohort=1 WHERE round=? AND attempt=?", attempt)

    def uploads(self, attempt: Attempt) -> dict[int, Upload]:
        rows = self._db.execute(
            "SELECT node, chunks, parameters, bytes, receipt FROM uploads WHERE round=? AND attempt=? ORDER BY node",
            attempt,
        )
        return {row[0]: Upload(*row) for row in rows}

    def add_upload(self, attempt: Attempt, upload: Upload) -> None:
        row = (*attempt, upload.node, upload.chunks, upload.parameters, upload.bytes, upload.receipt)
        self._db.execute("INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def all_uploads(self) -> list[tuple[Attempt, Upload]]:
        rows = self._db.execute(
            "SELECT round, attempt, node, chunks, parameters, bytes, receipt FROM uploads ORDER BY round, attempt, node"
        )
        return [(Attempt(*row[:2]), Upload(*row[2:])) for row in rows]


class _Rounds(_Part):
    def publish(self, sum_of: Published) -> None:
        row = (*sum_of.attempt, sum_of.chunks, sum_of.parameters)
        self._db.execute("INSERT INTO published VALUES (?, ?, ?, ?)", row)

    def published(self, round_number: int) -> Published | None:
        row = self._db.execute(
            "SELECT round, attempt, chunks, parameters FROM published WHERE round=?", (round_number,)
        ).fetchone()
        return Published(Attempt(*row[:2]), *row[2:]) if row else None

    def last_published(self) -> int:
        return int(self._db.execute("SELECT COALESCE(MAX(round), 0) FROM published").fetchone()[0])

    def digests(self, round_number: int) -> dict[int, bytes]:
        return dict(self._db.execute("SELECT node, digest FROM digests WHERE round=?", (round_number,)).fetchall())

    def add_digest(self, round_number: int, node: int, digest: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO digests VALUES (?, ?, ?)", (round_number, node, digest))


class _Letters(_Part):
    def find(self, sender: int, subject: str) -> Letter | None:
        row = self._db.execute(
            "SELECT header, path FROM letters WHERE sender=? AND subject=?", (sender, subject)
        ).fetchone()
        return Letter(sender, subject, row[0], Path(row[1]) if row[1] else None) if row else None

    def senders(self, subject: str) -> set[int]:
        return {row[0] for row in self._db.execute("SELECT sender FROM letters WHERE subject=?", (subject,))}

    def sent_by(self, sender: int) -> int:
        return int(self._db.execute("SELECT count(*) FROM letters WHERE sender=?", (sender,)).fetchone()[0])

    def add(self, letter: Letter) -> None:
        row = (letter.sender, letter.subject, letter.header, str(letter.path) if letter.path else None)
        self._db.execute("INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?)", row)


class _Orders(_Part):
    def add(self, number: int, said: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?)", (number, said))

    def all(self) -> dict[int, bytes]:
        return dict(self._db.execute("SELECT number, said FROM orders ORDER BY number").fetchall())


class _Makers(_Part):
    def all(self) -> dict[str, Maker]:
        rows = self._db.execute("SELECT subject, node, done FROM makers ORDER BY subject")
        return {subject: Maker(node, bool(done)) for subject, node, done in rows}

    def put(self, subject: str, maker: Maker) -> None:
        self._db.execute("INSERT OR REPLACE INTO makers VALUES (?, ?, ?)", (subject, *maker))
