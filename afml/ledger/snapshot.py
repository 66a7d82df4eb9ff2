"""A consistent scratch copy of a ledger, so that reading one never touches it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from afml.core.errors import InputError, IntegrityError
from afml.ledger.schema import FILE, none_in, require_version

_FILES = (FILE, f"{FILE}-wal")


def _stamp(folder: Path) -> list[tuple[int, int] | None]:
    found = [folder / name for name in _FILES]
    return [(p.stat().st_mtime_ns, p.stat().st_size) if p.exists() else None for p in found]


@contextmanager
def snapshot(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy of the ledger in `folder`.

    The original is only read: opening it would fold its write-ahead log into it. A ledger that is
    being written is copied again until nothing changed meanwhile.

    Raises:
        InputError: There is no ledger, another version of AFML wrote it, or it is being written too fast to copy.
        sqlite3.DatabaseError: The copy cannot be opened.
    """
    if not (folder / FILE).is_file():
        raise none_in(folder)
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(20):
            before = _stamp(folder)
            for name in _FILES:
                (Path(scratch) / name).unlink(missing_ok=True)
                if (folder / name).exists():
                    shutil.copyfile(folder / name, Path(scratch) / name)
            if _stamp(folder) == before:
                break
        else:
            raise InputError("is being written without a pause", where=folder, cure="stop the node first")
        with closing(sqlite3.connect(Path(scratch) / FILE)) as database:
            require_version(database, folder)
            yield database


@contextmanager
def readable(folder: Path) -> Iterator[sqlite3.Connection]:
    """A `snapshot` for somebody who needs all of it.

    Raises:
        InputError: As `snapshot`.
        IntegrityError: It cannot be read.
    """
    try:
        with snapshot(folder) as database:
            yield database
    except sqlite3.DatabaseError as error:
        cure = "put a backup back with `afml ledger restore`"
        raise IntegrityError(f"cannot be read ({error})", where=folder, cure=cure) from None


def origin_in(folder: Path) -> str:
    """The name that a ledger gives itself.

    Raises:
        InputError: There is none in `folder`.
    """
    with snapshot(folder) as database:
        row = database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    return str(row[0]) if row else ""
