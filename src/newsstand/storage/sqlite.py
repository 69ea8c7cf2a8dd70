"""SQLite: which URLs name a file of ours, how its connections are set up, and its errors in our words."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Pool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked, NotADatabase

BUSY_SECONDS = 10.0
"""How long a connection waits for another process's lock."""
CACHE_KIB = 64 * 1024
DRIVERS = ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite")
_MAGIC = b"SQLite format 3\0"
_EXAMPLE = "write sqlite:///path/to/news.db"
_LOCKED = ("database is locked", "database is busy")
_DAMAGED = ("not a database", "malformed", "unsupported file format")


def check_url(url: str) -> URL:
    """The URL, in one spelling. Raises ConfigurationError, saying what would be right, for one that cannot be
    opened; the message does not repeat it, for it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(f"the database URL is none; {_EXAMPLE}") from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(f"{parsed.get_backend_name()} databases are not supported yet; {_EXAMPLE}")
    if parsed.drivername not in DRIVERS:
        raise ConfigurationError(f"the driver of {parsed.drivername}:// is not one of ours; {_EXAMPLE}")
    if parsed.host or parsed.username or parsed.password or parsed.port:
        raise ConfigurationError("a SQLite URL names a file and no host: sqlite:///news.db, sqlite:////srv/news.db")
    database = parsed.database
    if not database or ":memory:" in database or "mode=memory" in str(parsed):
        raise ConfigurationError(
            "a database in memory is seen by one connection only; name a file: sqlite:///path/to/news.db"
        )
    if parsed.query or database.startswith("file:") or "\0" in database:
        raise ConfigurationError(f"a database URL takes a path and no options; {_EXAMPLE}")
    return URL.create("sqlite", database=database)


def path_of(url: URL) -> Path:
    return Path(url.database or "").absolute()


def make_file(path: Path) -> None:
    """Make the file if there is none: private from its first moment, for a copy holds what only its account may
    read. Raises ConfigurationError where its folder is missing, NotADatabase or DatabaseError where it is something
    else."""
    if not path.parent.is_dir():
        raise ConfigurationError(f"the folder {path.parent} does not exist; make it first")
    # Without O_NONBLOCK a pipe would keep us waiting.
    there = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(there).st_mode):
            raise DatabaseError(f"{path} is not a file")
        # SQLite takes a file that is too short to be a database for an empty one, and would overwrite it.
        if os.read(there, len(_MAGIC)) not in (b"", _MAGIC):
            raise NotADatabase(f"{path} is no database; it was not touched. Name another file")
    finally:
        os.close(there)


def json_text(value: object) -> str:
    """Characters as they are: SQLite compares the keys of a path with the text, escapes and all."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def make_engine(
    url: URL, begin: str | None, *, pool: type[Pool] = NullPool, look_only: bool = False, **options: Any
) -> Engine:
    """`begin` and `look_only`: see `set_up_sqlite`."""
    engine = create_engine(
        url,
        poolclass=pool,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        isolation_level="AUTOCOMMIT" if begin is None else None,
        query_cache_size=200,
        json_serializer=json_text,
        **options,
    )
    set_up_sqlite(engine, begin, look_only=look_only)
    return engine


def set_up_sqlite(engine: Engine, begin: str | None, *, look_only: bool = False) -> None:
    """The settings of every connection of ours, and how its transactions start: None where each statement is by
    itself. The driver's own way begins too late: a transaction that reads first and writes then fails when another
    process wrote between.

    `look_only`: nothing is written by connecting, and foreign keys are off, so that a migration may move tables.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        if not look_only:
            _write_ahead(connection)
        for pragma in (
            "synchronous=NORMAL",
            f"foreign_keys={'OFF' if look_only else 'ON'}",
            f"cache_size=-{CACHE_KIB}",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    if begin is not None:

        @event.listens_for(engine, "begin")
        def on_begin(conn: Connection) -> None:
            conn.exec_driver_sql(f"BEGIN {begin}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn to WAL. SQLite does not wait for locks here as elsewhere: several processes that start at once collide."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if not any(words in str(error) for words in _LOCKED) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class translated:
    """Turns the driver's errors into ours. A context manager without a generator, because reads are short."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise DatabaseError(f"cannot open {self.path}: {error.strerror}") from error
        if isinstance(error, UnicodeEncodeError):
            raise ConfigurationError("a text holds half a surrogate pair, which no database can keep") from error
        if not isinstance(error, SQLAlchemyError | sqlite3.Error):
            return
        cause = error.orig if isinstance(error, DBAPIError) else error
        words = str(cause)
        if any(locked in words for locked in _LOCKED):
            raise DatabaseLocked(
                f"another process holds {self.path} for longer than {BUSY_SECONDS:g} s; end it, or use another file"
            ) from error
        if any(damaged in words for damaged in _DAMAGED):
            raise NotADatabase(
                f"{self.path} is no database, or is damaged ({words}); it was not touched. Move it away, or name "
                "another file: what it held can be fetched again"
            ) from error
        raise DatabaseError(f"{self.path}: {words}") from error
