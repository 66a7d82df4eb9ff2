"""Tables of a ledger. docs/design/ledger.md describes each column; change both together, and VERSION with them.

`entries.body` is what the tree covers. The columns beside it repeat parts of the body for look-ups,
and the verifier checks that they agree with it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import sync_folder

FILE = "ledger.db"
VERSION = 1

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    leaf BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    run TEXT, round INTEGER, attempt INTEGER,
    enrolment INTEGER REFERENCES enrolments,
    mechanism TEXT, broken_multiplier REAL, plan TEXT
) STRICT;
CREATE UNIQUE INDEX spend_once ON entries (run, round, attempt) WHERE kind = 'spend';
CREATE INDEX spend_by_enrolment ON entries (enrolment, run, plan, mechanism, broken_multiplier);
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE enrolments (enrolment INTEGER PRIMARY KEY, commitment BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE enrolled (
    person BLOB NOT NULL, enrolment INTEGER NOT NULL REFERENCES enrolments, PRIMARY KEY (person, enrolment)
) STRICT, WITHOUT ROWID;
CREATE TABLE withdrawn (person BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE released (
    person BLOB NOT NULL, idx INTEGER NOT NULL REFERENCES entries, pattern INTEGER NOT NULL,
    PRIMARY KEY (person, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE peers (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
"""


def connect(folder: Path, origin: str, public: bytes) -> sqlite3.Connection:
    """Open the database of a ledger, making it if it is new. Every commit is on disk before it returns.

    Args:
        folder: The ledger's folder.
        origin: Name of a new ledger.
        public: Raw public key, recorded in a new ledger for display.

    Raises:
        InputError: Its schema is of another version.
        sqlite3.DatabaseError: It cannot be read.
    """
    created = not (folder / FILE).exists()
    database = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False, timeout=30)
    database.execute("PRAGMA journal_mode = WAL")
    # FULL: in WAL mode, anything less may lose the last commits when the power fails.
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("BEGIN IMMEDIATE")
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        for statement in _statements(SCHEMA):
            database.execute(statement)
        meta = "INSERT INTO meta VALUES ('version', ?), ('origin', ?), ('key', ?)"
        database.execute(meta, (str(VERSION), origin, public.hex()))
    database.execute("COMMIT")
    require_version(database, folder)
    if created:
        (folder / FILE).chmod(0o600)
        sync_folder(folder)
    return database


def require_version(database: sqlite3.Connection, folder: Path) -> None:
    """Refuse a ledger whose tables may mean something else than they do here.

    Raises:
        InputError: Its schema is newer, or of no known version.
    """
    row = database.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if row != (str(VERSION),):
        raise InputError(
            f"has schema version {row[0] if row else 'unknown'}, and this AFML reads version {VERSION} alone",
            where=folder / FILE,
            cure="use the version of AFML that wrote it",
        )


def _statements(script: str) -> list[str]:
    """Split a script: `executescript` would commit on its own and leave a half-made ledger after a crash."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
