"""The SQLite file itself: its version, and what is no such file."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from afml.core.errors import ConfigError
from aggregator.store.sql import SCHEMA
from aggregator.store.sqlite import SqliteStore
from tests.aggregator.power import Power, PowerCut

DIGEST = bytes(32)


def _set_version(path: Path, version: int) -> None:
    SqliteStore(path, DIGEST).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version={version}")


def test_the_version_of_the_tables_is_in_the_file(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "run.sqlite", DIGEST).close()
    with closing(sqlite3.connect(tmp_path / "run.sqlite")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


@pytest.mark.parametrize("version", [0, SCHEMA + 1])
def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "run.sqlite"
    _set_version(path, version)
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refusal:
        SqliteStore(path, DIGEST)
    assert str(refusal.value) == (
        f"{path}: is of schema {version}, this version of AFML keeps schema {SCHEMA}; "
        "finish the run with the version that began it, or begin a new one in another --data folder"
    )
    assert path.read_bytes() == before


def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "run.sqlite", DIGEST).close()
    with pytest.raises(ConfigError, match=r"another run's state.*give every run its own"):
        SqliteStore(tmp_path / "run.sqlite", bytes([1]) * 32)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    path.write_bytes(b"something else entirely\n" * 100)
    with pytest.raises(ConfigError, match="holds no run's state"):
        SqliteStore(path, DIGEST)


def test_every_commit_is_on_disk(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "run.sqlite", DIGEST)) as store:
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk_is_an_error_of_the_system_and_can_be_tried_again(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "run.sqlite", DIGEST)) as store:
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(OSError, match="full") as told, store.transaction():
            store.members.add(1, bytes(100_000))
        assert told.value.errno == errno.ENOSPC
        assert store.members.all() == {}
        store._db.execute("PRAGMA max_page_count=1000000")
        with store.transaction():
            store.members.add(1, bytes(100_000))
        assert list(store.members.all()) == [1]


def test_a_creation_that_is_cut_off_begins_again(power: Power, tmp_path: Path) -> None:
    for writes in count():
        path, power.writes = tmp_path / f"{writes}.sqlite", writes
        try:
            SqliteStore(path, DIGEST).close()
            break
        except PowerCut:
            power.writes = power.FULL
            with closing(SqliteStore(path, DIGEST)) as store:
                assert store.position().attempt.round == 0
    assert writes > 5
