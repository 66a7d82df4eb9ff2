"""Tables of a ledger. docs/design/ledger.md describes each column; change both together, and VERSION with them.

`entries.body` is what the tree covers. The columns beside it repeat parts of the body for look-ups,
and the verifier checks that they agree with it.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from afml.consortium.roster import origin_of
from afml.core.errors import InputError, IntegrityError
from afml.core.files import sync_folder
from afml.ledger.connection import Connection

FILE = "ledger.db"
WAIT_S = 600.0
"""Seconds to wait for another writer, who needs milliseconds of a quiet disk: a busy machine changes nothing."""
VERSION = 2
WITH_LOST = 3
"""Version of a ledger in which a run is closed as lost. The tables are those of `VERSION`; but an AFML that knows of no
such closing would charge the run what it spent, and not its whole plan, and that one reads `VERSION` alone."""

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
CREATE UNIQUE INDEX reserve_once ON entries (run) WHERE kind = 'reservation';
CREATE UNIQUE INDEX close_once ON entries (run) WHERE kind = 'closing';
CREATE INDEX by_kind ON entries (kind, run);
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
CREATE TABLE withdrawn (
    person BLOB PRIMARY KEY, idx INTEGER NOT NULL REFERENCES entries
) STRICT, WITHOUT ROWID;
CREATE TABLE released (
    person BLOB NOT NULL, idx INTEGER NOT NULL REFERENCES entries, pattern INTEGER NOT NULL,
    PRIMARY KEY (person, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE marks (
    mark BLOB NOT NULL, person BLOB NOT NULL, idx INTEGER NOT NULL REFERENCES entries, PRIMARY KEY (mark, person)
) STRICT, WITHOUT ROWID;
CREATE TABLE same (
    person BLOB PRIMARY KEY, account BLOB NOT NULL, idx INTEGER NOT NULL REFERENCES entries
) STRICT, WITHOUT ROWID;
CREATE TABLE peers (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, key BLOB NOT NULL
) STRICT;
"""

LOST = "SELECT run FROM entries WHERE kind = 'closing' AND json_extract(body, '$.reason') = 'lost'"
"""Runs that were open in a backup that was put back: their whole plan counts as spent."""
_NO_SPACE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)  # fmt: skip


def connect(folder: Path, origin: str, public: bytes) -> sqlite3.Connection:
    """Open the database of a ledger, making it if it is new. Every commit is on disk before it returns.

    Args:
        folder: The ledger's folder.
        origin: Name of a new ledger.
        public: Raw public key, recorded in a new ledger for display.

    Raises:
        InputError: Its schema is of another version.
        IntegrityError: It is new, and its name is not that of the key: the founding key alone begins a ledger.
        sqlite3.DatabaseError: It cannot be read.
    """
    created = not begun(folder)
    if created and origin != origin_of(public):
        raise IntegrityError(
            f"holds no ledger, and {origin} began under an earlier key",
            where=folder,
            cure="put the ledger back with `afml ledger restore`",
        )
    database = Connection(folder / FILE, timeout=WAIT_S)
    _to_wal(database)
    # FULL: in WAL mode, anything less may lose the last commits when the power fails.
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("BEGIN IMMEDIATE")
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        if not created:
            database.close()
            raise sqlite3.DatabaseError("its tables are not those of a ledger")
        for statement in _statements(SCHEMA):
            database.execute(statement)
        meta = "INSERT INTO meta VALUES ('version', ?), ('origin', ?), ('key', ?)"
        database.execute(meta, (str(VERSION), origin, public.hex()))
    database.execute("COMMIT")
    require_version(database, folder)
    tell_lost(database)  # closings of before there was a number for them
    if created:
        (folder / FILE).chmod(0o600)
        sync_folder(folder)
    return database


def _to_wal(database: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, for which alone SQLite itself does not wait where another process is at it."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def begun(folder: Path) -> bool:
    """Whether a ledger was begun in `folder`. A file without a table, as a crash or a full disk leaves it, is none."""
    if not (folder / FILE).is_file():
        return False
    try:
        with closing(sqlite3.connect(folder / FILE, timeout=WAIT_S)) as database:
            return database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:
        return True  # of what it was, something is left


def no_space(error: sqlite3.DatabaseError) -> bool:
    """Whether SQLite met a disk that takes nothing, which says nothing about the ledger."""
    return getattr(error, "sqlite_errorcode", None) in _NO_SPACE


def require_begun(folder: Path) -> None:
    """Refuse a folder that a ledger would be begun in.

    Raises:
        InputError: There is none.
    """
    if not begun(folder):
        raise none_in(folder, f"holds no {FILE} with anything in it")


def none_in(folder: Path, problem: str = f"holds no {FILE}") -> InputError:
    """What to say of a folder without a ledger: perhaps none was begun yet, perhaps one was lost."""
    first = "an institution has none before it first approves a run or takes part in one"
    cure = (
        "`afml run approve` or `afml node` begins it; if there was one, name its folder, or put a copy back with "
        "`afml ledger restore`"
    )
    return InputError(f"{problem}: {first}", where=folder, cure=cure)


def tell_lost(database: sqlite3.Connection) -> None:
    """Give a ledger in which a run is closed as lost the number by which an AFML that cannot read it refuses it."""
    told = f"UPDATE meta SET value = ? WHERE name = 'version' AND value = ? AND EXISTS ({LOST})"
    database.execute(told, (str(WITH_LOST), str(VERSION)))


def require_version(database: sqlite3.Connection, folder: Path) -> None:
    """Refuse a ledger whose tables may mean something else than they do here.

    Raises:
        InputError: Its schema is newer, or of no known version.
    """
    row = database.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if row not in ((str(VERSION),), (str(WITH_LOST),)):
        newer = row is not None and row[0].isdigit() and int(row[0]) > WITH_LOST
        known = f"versions {VERSION} and {WITH_LOST}"
        raise InputError(
            f"has schema version {row[0] if row else 'unknown'}, and this AFML reads {known} alone",
            where=folder / FILE,
            cure="update AFML here" if newer else "use the version of AFML that wrote it",
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
