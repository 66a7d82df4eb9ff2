"""The PostgreSQL store itself: who holds it, what it refuses, and what becomes of a session that ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from afml.core.errors import ConfigError, TransportError
from aggregator.run import Folder, ServedRun
from aggregator.store import open_store
from aggregator.store.base import Lost, Member, Taken
from aggregator.store.copies import PIECE
from aggregator.store.postgresql import _SETTINGS, PostgresqlStore, conninfo
from aggregator.store.sql import SCHEMA
from tests.aggregator.machine import small_run
from tests.postgres import Server

DIGEST = bytes(range(32))
SCHEMA_NAME = f"run_{DIGEST.hex()[:32]}"


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresqlStore]:
    opened = PostgresqlStore(url.removeprefix("postgresql:"), DIGEST)
    yield opened
    opened.close()


def test_one_process_at_a_time_has_a_run(url: str, store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_SETTINGS, "lock_timeout", "50ms")
    store.members.add(1, b"one")
    with pytest.raises(Taken, match="another aggregator serves this"):
        open_store(url, DIGEST)
    monkeypatch.setitem(_SETTINGS, "lock_timeout", "60s")
    found: list[Member] = []
    other = threading.Thread(target=lambda: found.extend(_members(url)))
    other.start()
    store.close()
    other.join(60)
    assert found == [Member(b"one")]


def _members(url: str) -> Iterator[Member]:
    with again(url) as opened:
        assert opened.term == 2
        yield from opened.members.all().values()


def test_other_runs_do_not_wait_for_each_other(url: str, store: PostgresqlStore) -> None:
    other = open_store(url, bytes(32))
    other.members.add(2, b"two")
    assert store.members.all() == {}
    other.close()


def test_whoever_has_lost_the_session_writes_nothing_more(postgres: Server, url: str, store: PostgresqlStore) -> None:
    with pytest.raises(Lost, match="the database is gone"), store.transaction():
        store.members.add(1, b"one")
        postgres.ask(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        store.members.add(2, b"two")
    with again(url) as successor:
        assert successor.members.all() == {}
        with pytest.raises(Lost):
            store.members.add(3, b"three")
        with pytest.raises(Lost), store.transaction():
            pass
        assert successor.members.all() == {}


def again(url: str) -> contextlib.closing[PostgresqlStore]:
    return contextlib.closing(PostgresqlStore(url.removeprefix("postgresql:"), DIGEST))


def test_the_server_ends_silent_sessions_and_tells_gone_machines(store: PostgresqlStore) -> None:
    shown = {name: store._db.execute(f"SHOW {name}").fetchone()[0] for name in ("idle_session_timeout",
             "idle_in_transaction_session_timeout", "synchronous_commit")}  # fmt: skip
    assert shown == {
        "idle_session_timeout": "30s", "idle_in_transaction_session_timeout": "30s", "synchronous_commit": "on",
    }  # fmt: skip


def test_a_silent_process_loses_the_run(url: str, store: PostgresqlStore) -> None:
    store._db.execute("SET idle_session_timeout = 50")  # milliseconds: it says nothing from here on
    with again(url) as successor:
        assert successor.term == store.term + 1
    with pytest.raises(Lost):
        store.position()


def test_copies_of_files_serve_another_machine(url: str, store: PostgresqlStore, tmp_path: Path) -> None:
    sum_file, empty = tmp_path / "sum", tmp_path / "empty"
    sum_file.write_bytes(bytes(range(256)) * (3 * PIECE // 256) + b"the rest")
    empty.touch()
    for path in (sum_file, empty):
        store.files.keep(f"sums/{path.name}", path)
    store.close()
    with again(url) as successor:
        successor.files.bring("sums/sum", tmp_path / "there" / "sum")
        successor.files.keep("sums/sum", sum_file)
        assert successor._db.execute("SELECT count(*) FROM files").fetchone() == (4,)
    assert (tmp_path / "there" / "sum").read_bytes() == sum_file.read_bytes()


def test_copies_go_with_the_files_that_they_are_of(url: str, store: PostgresqlStore, tmp_path: Path) -> None:
    """Also by another machine than the one that made them, which has no file to go by."""
    path = tmp_path / "file"
    path.write_bytes(b"a sum" * PIECE)
    for name in ("sums/round-1-1", "sums/round-2-1", "letters/1-ab"):
        store.files.keep(name, path)
    store.close()
    with again(url) as successor:
        run = ServedRun(small_run(), None, None, successor, Folder(tmp_path / "there"))  # type: ignore[arg-type]
        assert asyncio.run(run.clear_sums(before=2))
        assert successor._db.execute("SELECT DISTINCT name FROM files ORDER BY name").fetchall() == [
            ("letters/1-ab",), ("sums/round-2-1",),
        ]  # fmt: skip
        successor.files.drop(lambda name: name.startswith("letters/"))
        assert successor._db.execute("SELECT DISTINCT name FROM files").fetchall() == [("sums/round-2-1",)]


def test_a_copy_in_a_thread_waits_for_no_decision_and_no_decision_for_it(
    url: str, store: PostgresqlStore, tmp_path: Path
) -> None:
    """It is there before the decision ends that is open meanwhile, and stays when that one is undone."""
    path = tmp_path / "sum"
    path.write_bytes(b"a sum")
    with ThreadPoolExecutor(1) as threads:
        with contextlib.suppress(KeyError), store.transaction():
            store.members.add(1, b"one")
            threads.submit(store.files.aside.keep, "sums/sum", path).result(60)
            raise KeyError
        assert store.members.all() == {}
        path.unlink()
        with store.transaction():
            store.members.add(2, b"two")
            threads.submit(store.files.aside.bring, "sums/sum", path).result(60)
    assert path.read_bytes() == b"a sum"


def test_who_has_been_replaced_copies_nothing(
    postgres: Server, url: str, store: PostgresqlStore, tmp_path: Path
) -> None:
    """Its session for copies lives on, and holds no lock of the run."""
    path = tmp_path / "sum"
    path.write_bytes(b"first")
    aside = store.files.aside
    aside.keep("sums/sum", path)
    postgres.ask(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    with again(url) as successor:
        path.write_bytes(b"first and more")
        for what in (aside.keep, aside.bring):
            with pytest.raises(Lost, match="another process has taken the run on"):
                what("sums/sum", path if what == aside.keep else tmp_path / "other")
        with pytest.raises(Lost, match="another process has taken the run on"):
            aside.drop(lambda _: True)
        assert successor._db.execute("SELECT content FROM files").fetchall() == [(b"first",)]


def test_a_session_for_copies_that_was_silent_too_long_is_opened_again(
    postgres: Server, url: str, store: PostgresqlStore, tmp_path: Path
) -> None:
    path = tmp_path / "sum"
    path.write_bytes(b"first")
    for text in (b"first", b"first, second"):
        path.write_bytes(text)
        store.files.aside.keep("sums/sum", path)
        postgres.ask(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN"
            " (SELECT pid FROM pg_locks WHERE locktype = 'advisory') AND application_name = 'afml aggregator'",
        )
    assert store._db.execute("SELECT sum(length(content)) FROM files").fetchone() == (len(b"first, second"),)
    store.close()
    with pytest.raises(Lost, match="the store is closed"):
        store.files.aside.keep("sums/sum", path)


def test_a_run_of_another_version_is_refused_and_left_alone(postgres: Server, url: str, store: PostgresqlStore) -> None:
    store.close()
    postgres.ask(url, f"UPDATE {SCHEMA_NAME}.serving SET version = {SCHEMA + 1}")
    refusal = (
        f"{SCHEMA_NAME} is of schema {SCHEMA + 1}, this version of AFML keeps schema {SCHEMA}; finish the run with"
    )
    with pytest.raises(ConfigError, match=refusal):
        open_store(url, DIGEST)
    assert postgres.ask(url, f"SELECT term FROM {SCHEMA_NAME}.serving") == [(1,)]


def test_an_account_that_may_not_make_tables_is_told_how(postgres: Server, url: str) -> None:
    postgres.ask(url, "CREATE ROLE guest LOGIN")
    with pytest.raises(ConfigError, match="this user may not make tables; GRANT CREATE ON DATABASE"):
        open_store(url.replace("afml@", "guest@"), DIGEST)


def test_a_database_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(TransportError, match=r"^database nowhere at /\S+: no database answers \(.*does not exist"):
        open_store(url.replace("/d", "/nowhere?x=", 1).split("?")[0] + "?" + url.split("?")[1], DIGEST)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"holds a password.*put it into ~/.pgpass") as refused:
        open_store("postgresql://afml:geheim@db.example.org/afml", DIGEST)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql:nonsense", "postgresql://h/d?colour=red"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of a database; give postgresql://"):
        open_store(url, DIGEST)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://afml@db.example.org/afml", "verify-full"),
        ("postgresql://afml@127.0.0.1,db.example.org/afml", "verify-full"),
        ("postgresql://afml@db.example.org/afml?sslmode=require", "require"),
        ("postgresql://afml@[::1]/afml", None),
        ("postgresql:///afml?host=/run/postgresql", None),
        ("postgresql:///afml", None),
    ],
)
def test_another_machine_must_show_its_certificate(url: str, mode: str | None) -> None:
    given = conninfo_to_dict(conninfo(url))
    assert given.get("sslmode") == mode
    assert given["target_session_attrs"] == "read-write"


def test_a_server_that_takes_no_more_writes_is_lost(postgres: Server, url: str, store: PostgresqlStore) -> None:
    store._db.execute("SET default_transaction_read_only = on")  # as of a server that has become a replica
    with pytest.raises(Lost, match="read-only"):
        store.members.add(1, b"one")
    with pytest.raises(Lost), store.transaction():
        pass
