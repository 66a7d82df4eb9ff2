"""A run's state in a PostgreSQL database, where another machine can take the run over.

A run has a schema of its own, as it has a file of its own in SQLite. Whoever serves it holds an advisory lock, and
writes through the very session that holds it: a process that has lost its lock has lost its only way to write, however
long it lives on. The server ends a session that is silent for `LEASE_S`, by its own clock, and with it the lock.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from afml.core.errors import ConfigError, TransportError
from aggregator.store.base import Files, Lost, Taken
from aggregator.store.copies import TABLES as FILES
from aggregator.store.copies import Aside, Copies
from aggregator.store.queue import TABLES as QUEUE
from aggregator.store.queue import SqlQueue
from aggregator.store.sql import SCHEMA, SqlStore, begin_run, create, transaction

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.pq import TransactionStatus
except ImportError as error:
    raise ConfigError("needs psycopg", where="--store postgresql:", cure="pip install 'afml[postgres]'") from error

LEASE_S = 30
"""Seconds of silence, of a process or of its machine, after which another process may take the run over."""
PATIENCE_S = 1
"""Seconds that opening waits for a process that is about to let go."""
OLDEST = 14
"""The first PostgreSQL that ends silent sessions."""
_SERVING = """
CREATE TABLE serving (
  one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, term INTEGER NOT NULL)
"""
_SETTINGS: dict[str, str] = {
    "idle_session_timeout": f"{LEASE_S}s",
    "idle_in_transaction_session_timeout": f"{LEASE_S}s",
    "tcp_keepalives_idle": "10",  # a machine that is gone sends no word of it
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": f"{PATIENCE_S}s",
}
_CONNECTION = {
    "application_name": "afml aggregator",
    "connect_timeout": "10",
    "target_session_attrs": "read-write",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_FULL, _RESOURCES, _SYSTEM = "53100", "53", "58"
_READ_ONLY, _ENDED = "25006", "57"  # the server has become a replica; somebody or something ends sessions


@lru_cache(maxsize=256)
def _query(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


class Session:
    """One session of a PostgreSQL server: what it has no room for is an OSError, its end is `Lost`.

    Attributes:
        where: The database, as messages show it.
    """

    begin = "BEGIN"
    words: Mapping[str, str] = {"BLOB": "BYTEA", "INTEGER": "BIGINT"}

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            TransportError: No server answers there.
            ConfigError: See `conninfo`.
        """
        self.where = shown(url)
        try:
            self._raw = psycopg.connect(conninfo(url), autocommit=True)
        except psycopg.Error as error:
            cure = "start the server, or correct --store; a password belongs into ~/.pgpass"
            raise TransportError(f"no database answers ({error})", where=self.where, cure=cure) from None
        self.close = self._raw.close

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    def execute(self, statement: str, values: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        """Do one statement.

        Raises:
            Lost: The session is gone.
            OSError: The server has no room for it.
        """
        try:
            return self._raw.execute(_query(statement), values)
        except psycopg.Error as error:
            state, told = error.sqlstate or "", str(error).splitlines()[0]
            if state == _READ_ONLY or state.startswith(_ENDED):
                self.close()
            if self._raw.closed:
                raise Lost(errno.EIO, f"the database is gone ({told})") from error
            if state.startswith((_RESOURCES, _SYSTEM)):
                raise OSError(errno.ENOSPC if state == _FULL else errno.EIO, told) from error
            raise

    def require_fit(self) -> None:
        """Set this session up.

        Raises:
            ConfigError: The server is too old, or what answers is a pooler, which shares sessions out.
        """
        info = self._raw.info
        if info.server_version // 10_000 < OLDEST:
            cure = f"keep runs on PostgreSQL {OLDEST} or newer"
            raise ConfigError(f"is PostgreSQL {info.server_version // 10_000}", where=self.where, cure=cure)
        if self.execute("SELECT pg_backend_pid()").fetchone() != (info.backend_pid,):
            cure = "name the server itself: whoever serves a run needs a session of its own"
            raise ConfigError("is a pooler of connections", where=self.where, cure=cure)
        for name, value in _SETTINGS.items():
            self.execute("SELECT set_config(?, ?, false)", (name, value))


def conninfo(url: str) -> str:
    """What libpq is asked for: `url`, and what it leaves open.

    Raises:
        ConfigError: It is no URL, or holds a password: other accounts of a machine see command lines.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        problem, cure = "is no URL of a database", "give postgresql://USER@HOST/DATABASE"
        raise ConfigError(problem, where="--store", cure=cure) from None
    if "password" in given:
        problem, cure = "holds a password, which others would see", "put it into ~/.pgpass, readable by you alone"
        raise ConfigError(problem, where="--store", cure=cure)
    far = not all(_near(host) for host in given.get("host", "").split(","))
    return make_conninfo(**(_CONNECTION | ({"sslmode": "verify-full"} if far else {}) | given))


def shown(url: str) -> str:
    """A URL as messages show it: without what may be a secret."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        return "--store"
    return f"database {given.get('dbname', '')} at {given.get('host', 'this machine')}"


def _near(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def enter(url: str, schema: str, key: bytes, begin: Callable[[Session], None]) -> tuple[Session, int]:
    """A session that has a schema for itself, as long as it lives.

    Args:
        url: Of the database.
        schema: Its name.
        key: Of its lock: 8 bytes that nothing else has.
        begin: Makes the tables, where they are not there.

    Returns:
        The session, and how often the schema was entered.

    Raises:
        TransportError: No server answers there.
        ConfigError: It is not fit for this, refuses what this needs, or the schema is of another version of AFML.
        Taken: Another process is in it.
    """
    session = Session(url)
    try:
        session.require_fit()
        session.execute("SELECT pg_advisory_lock(?)", (int.from_bytes(key, "big", signed=True),))
        session.execute("SELECT set_config('search_path', ?, false)", (schema,))
        with transaction(session):
            return session, _entered(session, schema, begin)
    except psycopg.errors.LockNotAvailable:
        session.close()
        raise Taken("another aggregator serves this", where=session.where, cure="stop it first") from None
    except psycopg.errors.InsufficientPrivilege:
        session.close()
        cure = "GRANT CREATE ON DATABASE ... TO this user"
        raise ConfigError("this user may not make tables", where=session.where, cure=cure) from None
    except BaseException:
        session.close()
        raise


def _entered(session: Session, schema: str, begin: Callable[[Session], None]) -> int:
    if session.execute("SELECT to_regclass('serving')").fetchone() == (None,):
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        create(session, _SERVING)
        session.execute("INSERT INTO serving VALUES (1, ?, 0)", (SCHEMA,))
        begin(session)
    (version,) = session.execute("SELECT version FROM serving").fetchone()  # type: ignore[misc]
    if version != SCHEMA:
        raise ConfigError(
            f"{schema} is of schema {version}, this version of AFML keeps schema {SCHEMA}",
            where=session.where,
            cure="finish the run with the version that began it",
        )
    (term,) = session.execute("UPDATE serving SET term = term + 1 RETURNING term").fetchone()  # type: ignore[misc]
    return int(term)


class PostgresqlStore(SqlStore):
    """One schema, one run, one session.

    Attributes:
        files: Copies of the run's files.
        term: How often the run was taken on, by whatever process.
    """

    def __init__(self, place: str, config_digest: bytes) -> None:
        """Open or create; `place` is what follows `postgresql:` in a URL of libpq. Errors as of `enter`."""

        def begin(session: Session) -> None:
            begin_run(session, config_digest)
            create(session, FILES)

        schema = f"run_{config_digest.hex()[:32]}"
        session, self.term = enter(f"postgresql:{place}", schema, config_digest[:8], begin)
        super().__init__(session)
        self._aside = Aside(lambda: _beside(f"postgresql:{place}", schema), self.term)
        self.files: Files = Copies(session, self._aside)
        if not self._is_of(config_digest):
            session.close()
            raise ConfigError(f"holds another run in {schema}", where=session.where, cure="name another database")

    def close(self) -> None:
        """Close both sessions."""
        self._aside.close()
        super().close()


def _beside(url: str, schema: str) -> Session:
    """A session in a schema that another session of this process has for itself."""
    session = Session(url)
    try:
        session.require_fit()
        session.execute("SELECT set_config('search_path', ?, false)", (schema,))
    except BaseException:
        session.close()
        raise
    return session


class PostgresqlQueue(SqlQueue):
    """A schema of the database that keeps the runs themselves: whoever has it serves them all."""

    def __init__(self, place: str) -> None:
        """Open or create; `place` is what follows `postgresql:` in a URL of libpq. Errors as of `enter`."""
        session, _ = enter(f"postgresql:{place}", "afml_queue", b"afml que", lambda db: create(db, QUEUE))
        super().__init__(session)
