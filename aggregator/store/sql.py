"""A run's state in tables: what every SQL store keeps, and asks for, in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from afml.consortium.attempt import Attempt
from afml.consortium.makers import Maker
from afml.consortium.stage import Stage
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
"""Version of the tables below; it grows with every change of them."""

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


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """The next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Row by row."""


class Connection(Protocol):
    """A database as the stores speak to it: `?` stands for a value, and what a disk cannot take is an OSError.

    Attributes:
        begin: Begins a transaction that will write.
        words: Its own words for types, by SQLite's.
    """

    begin: str
    words: Mapping[str, str]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Do one statement."""

    def close(self) -> None:
        """Let go; an open transaction leaves nothing."""


@contextmanager
def transaction(db: Connection) -> Iterator[None]:
    """All or nothing of what the block does; an inner one is a savepoint of the outer."""
    inner = db.in_transaction
    db.execute("SAVEPOINT part" if inner else db.begin)
    try:
        yield
        db.execute("RELEASE part" if inner else "COMMIT")
    except BaseException:
        if db.in_transaction:  # the database itself ends one that met a full disk, or with its connection
            for undo in ("ROLLBACK TO part", "RELEASE part") if inner else ("ROLLBACK",):
                db.execute(undo)
        raise


def create(db: Connection, tables: str) -> None:
    """Make tables, written in SQLite's words for types."""
    for statement in tables.split(";"):
        for word, own in db.words.items():
            statement = statement.replace(f" {word}", f" {own}")
        db.execute(statement)


def begin_run(db: Connection, config_digest: bytes) -> None:
    """Make the tables of a run that nobody has begun."""
    create(db, _TABLES)
    row = (config_digest, Stage.ENROLLING.value, now_ms())
    db.execute("INSERT INTO run VALUES (1, ?, ?, 0, 0, '', ?)", row)


class SqlStore:
    """One run in one connection, used from the thread that opened it."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.members: Members = _Members(db)
        self.attempts: Attempts = _Attempts(db)
        self.rounds: Rounds = _Rounds(db)
        self.letters: Letters = _Letters(db)
        self.orders: Orders = _Orders(db)
        self.makers: Makers = _Makers(db)

    def position(self) -> Position:
        """Where the state machine stands."""
        row = self._db.execute("SELECT stage, round, attempt, reason, since_ms FROM run").fetchone()
        stage, round_number, attempt, reason, since_ms = row
        return Position(Stage(stage), Attempt(round_number, attempt), reason, since_ms)

    def move(self, to: Position) -> None:
        """Put the state machine there."""
        row = (to.stage.value, *to.attempt, to.reason, to.since_ms)
        self._db.execute("UPDATE run SET stage=?, round=?, attempt=?, reason=?, since_ms=?", row)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; an inner one is a savepoint of the outer."""
        return transaction(self._db)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _is_of(self, config_digest: bytes) -> bool:
        (stored,) = self._db.execute("SELECT config_digest FROM run").fetchone()
        return bool(stored == config_digest)


class _Part:
    def __init__(self, db: Connection) -> None:
        self._db = db


class _Members(_Part):
    def all(self) -> dict[int, Member]:
        rows = self._db.execute("SELECT node, enrolment, left_reason FROM members ORDER BY node")
        return {node: Member(enrolment, left) for node, enrolment, left in rows}

    def add(self, node: int, enrolment: bytes) -> None:
        self._db.execute("INSERT INTO members VALUES (?, ?, NULL) ON CONFLICT DO NOTHING", (node, enrolment))

    def mark_left(self, node: int, reason: str) -> None:
        self._db.execute("UPDATE members SET left_reason=? WHERE node=? AND left_reason IS NULL", (reason, node))


class _Attempts(_Part):
    def tokens(self, attempt: Attempt) -> dict[int, bytes]:
        return dict(self._db.execute(_TOKENS, (*attempt, 0)).fetchall())

    def add_token(self, attempt: Attempt, node: int, token: bytes) -> None:
        row = (*attempt, node, token)
        self._db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING", row)

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
        self._db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

    def forget_upload(self, attempt: Attempt, node: int) -> None:
        self._db.execute("DELETE FROM uploads WHERE round=? AND attempt=? AND node=?", (*attempt, node))

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
        row = (round_number, node, digest)
        self._db.execute("INSERT INTO digests VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)


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

    def paths(self) -> dict[Path, str]:
        rows = self._db.execute("SELECT path, subject FROM letters WHERE path IS NOT NULL")
        return {Path(path): subject for path, subject in rows}

    def add(self, letter: Letter) -> None:
        row = (letter.sender, letter.subject, letter.header, str(letter.path) if letter.path else None)
        self._db.execute("INSERT INTO letters VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

    def bare(self, path: Path) -> None:
        self._db.execute("UPDATE letters SET path=NULL WHERE path=?", (str(path),))


class _Orders(_Part):
    def add(self, number: int, said: bytes) -> None:
        self._db.execute("INSERT INTO orders VALUES (?, ?) ON CONFLICT DO NOTHING", (number, said))

    def all(self) -> dict[int, bytes]:
        return dict(self._db.execute("SELECT number, said FROM orders ORDER BY number").fetchall())


class _Makers(_Part):
    def all(self) -> dict[str, Maker]:
        rows = self._db.execute("SELECT subject, node, done FROM makers ORDER BY subject")
        return {subject: Maker(node, bool(done)) for subject, node, done in rows}

    def put(self, subject: str, maker: Maker) -> None:
        statement = """INSERT INTO makers VALUES (?, ?, ?)
            ON CONFLICT (subject) DO UPDATE SET node=excluded.node, done=excluded.done"""
        self._db.execute(statement, (subject, maker.node, int(maker.done)))
