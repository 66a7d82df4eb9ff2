"""What the aggregator remembers across restarts: SQLite (WAL, synchronous=FULL), one database per run.

Tables mirror the protocol: `run` (one row: where the state machine stands), `members` (enrolments),
`tokens` (Ready tokens per attempt), `uploads` (complete ones), `published` (rounds whose sum is on
disk), `letters` and `digests`. docs/DATA_MODEL.md draws the state machine.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import ConfigError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  config_digest BLOB NOT NULL, stage TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (
  node INTEGER PRIMARY KEY, enrolment BLOB NOT NULL, left_reason TEXT);
CREATE TABLE IF NOT EXISTS tokens (
  round INTEGER, attempt INTEGER, node INTEGER, token BLOB NOT NULL, in_cohort INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (round, attempt, node));
CREATE TABLE IF NOT EXISTS uploads (
  round INTEGER, attempt INTEGER, node INTEGER, chunks INTEGER, parameters INTEGER, bytes INTEGER,
  receipt TEXT NOT NULL,
  PRIMARY KEY (round, attempt, node));
CREATE TABLE IF NOT EXISTS published (
  round INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, chunks INTEGER, parameters INTEGER);
CREATE TABLE IF NOT EXISTS letters (
  sender INTEGER, recipient INTEGER, subject TEXT, header BLOB NOT NULL, path TEXT NOT NULL,
  PRIMARY KEY (recipient, sender, subject));
CREATE TABLE IF NOT EXISTS digests (
  round INTEGER, node INTEGER, digest BLOB NOT NULL, PRIMARY KEY (round, node));
"""


@dataclass(frozen=True)
class Position:
    """Where the state machine stands."""

    stage: str
    round: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Upload:
    """A complete upload: its size in chunks, parameters and bytes on the wire, and its ledger receipt (JSON)."""

    node: int
    chunks: int
    parameters: int
    bytes: int
    receipt: str


class Store:
    """Typed access to the database. Every method is one transaction."""

    def __init__(self, path: Path, config_digest: bytes) -> None:
        """Open or create.

        Raises:
            ConfigError: The database belongs to another run configuration.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO run VALUES (1, ?, 'enrolling', 0, 0, '')", (config_digest,))
        (stored,) = self._db.execute("SELECT config_digest FROM run").fetchone()
        if stored != config_digest:
            raise ConfigError(
                "holds another run's state", where=path, cure="give every run its own --data folder"
            )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def position(self) -> Position:
        """The current position."""
        return Position(*self._db.execute("SELECT stage, round, attempt, reason FROM run").fetchone())

    def move(self, stage: str, round_number: int, attempt: int, reason: str = "") -> None:
        """Set the current position."""
        self._db.execute(
            "UPDATE run SET stage=?, round=?, attempt=?, reason=?", (stage, round_number, attempt, reason)
        )

    def members(self) -> dict[int, tuple[bytes, str | None]]:
        """node -> (serialised enrolment, why it left or None)."""
        rows = self._db.execute("SELECT node, enrolment, left_reason FROM members ORDER BY node")
        return {node: (enrolment, left) for node, enrolment, left in rows}

    def add_member(self, node: int, enrolment: bytes) -> None:
        """Record an enrolment."""
        self._db.execute("INSERT INTO members VALUES (?, ?, NULL)", (node, enrolment))

    def mark_left(self, node: int, reason: str) -> None:
        """Record that a node left the run."""
        self._db.execute(
            "UPDATE members SET left_reason=? WHERE node=? AND left_reason IS NULL", (reason, node)
        )

    def tokens(self, round_number: int, attempt: int, *, cohort: bool = False) -> dict[int, bytes]:
        """node -> serialised Ready token; only the cohort's when `cohort`."""
        rows = self._db.execute(
            "SELECT node, token FROM tokens WHERE round=? AND attempt=? AND in_cohort>=? ORDER BY node",
            (round_number, attempt, int(cohort)),
        )
        return dict(rows.fetchall())

    def add_token(self, round_number: int, attempt: int, node: int, token: bytes) -> None:
        """Record a Ready token (idempotent)."""
        self._db.execute(
            "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, 0)", (round_number, attempt, node, token)
        )

    def fix_cohort(self, round_number: int, attempt: int) -> None:
        """All present tokens become the cohort and the attempt opens, in one transaction."""
        with self._transaction():
            self._db.execute(
                "UPDATE tokens SET in_cohort=1 WHERE round=? AND attempt=?", (round_number, attempt)
            )
            self.move("open", round_number, attempt)

    def uploads(self, round_number: int, attempt: int) -> dict[int, Upload]:
        """node -> complete upload."""
        rows = self._db.execute(
            "SELECT node, chunks, parameters, bytes, receipt FROM uploads WHERE round=? AND attempt=?",
            (round_number, attempt),
        )
        return {row[0]: Upload(*row) for row in rows}

    def add_upload(self, round_number: int, attempt: int, upload: Upload) -> None:
        """Record a complete upload (idempotent)."""
        self._db.execute(
            "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                round_number,
                attempt,
                upload.node,
                upload.chunks,
                upload.parameters,
                upload.bytes,
                upload.receipt,
            ),
        )

    def all_uploads(self) -> list[tuple[int, int, int]]:
        """(round, bytes, parameters) of every complete upload."""
        return self._db.execute("SELECT round, bytes, parameters FROM uploads").fetchall()

    def publish(self, round_number: int, attempt: int, chunks: int, parameters: int, next_stage: str) -> None:
        """The sum is on disk: publish it and move on, in one transaction."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO published VALUES (?, ?, ?, ?)", (round_number, attempt, chunks, parameters)
            )
            following = (round_number, attempt) if next_stage == "finished" else (round_number + 1, 1)
            self.move(next_stage, *following)

    def published(self, round_number: int) -> tuple[int, int, int] | None:
        """(attempt, chunks, parameters) of a published round."""
        row = self._db.execute(
            "SELECT attempt, chunks, parameters FROM published WHERE round=?", (round_number,)
        ).fetchone()
        return tuple(row) if row else None

    def last_published(self) -> int:
        """The last round whose sum may be fetched; 0 for none."""
        return int(self._db.execute("SELECT COALESCE(MAX(round), 0) FROM published").fetchone()[0])

    def letter(self, recipient: int, sender: int, subject: str) -> tuple[bytes, Path] | None:
        """(serialised header, file of the body)."""
        row = self._db.execute(
            "SELECT header, path FROM letters WHERE recipient=? AND sender=? AND subject=?",
            (recipient, sender, subject),
        ).fetchone()
        return (row[0], Path(row[1])) if row else None

    def letters_from(self, sender: int) -> int:
        """How many letters of a node are kept."""
        return int(
            self._db.execute("SELECT count(*) FROM letters WHERE sender=?", (sender,)).fetchone()[0]
        )

    def add_letter(self, sender: int, recipient: int, subject: str, header: bytes, path: Path) -> None:
        """Record a relayed letter; the first one stands."""
        self._db.execute(
            "INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?)",
            (sender, recipient, subject, header, str(path)),
        )

    def digests(self, round_number: int) -> dict[int, bytes]:
        """node -> keyed model digest after a round."""
        return dict(
            self._db.execute("SELECT node, digest FROM digests WHERE round=?", (round_number,)).fetchall()
        )

    def add_digest(self, round_number: int, node: int, digest: bytes) -> None:
        """Record a digest; the first one stands."""
        self._db.execute("INSERT OR IGNORE INTO digests VALUES (?, ?, ?)", (round_number, node, digest))

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
