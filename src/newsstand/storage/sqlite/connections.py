"""SQLite: which URLs name a file of ours, how its connections are set up, and its errors in our words."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Pool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked, NotADatabase
from newsstand.storage import forks

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long a connection waits for another process's lock."""
CACHE_KIB = 16 * 1024
"""What a connection that writes, or reads much at a time, keeps of the file in memory."""
READ_CACHE_KIB = 64 * 1024
"""The same of the one that answers reads."""
DRIVERS = ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite")
_SHORTEST = 512
"""Bytes of the smallest page."""
_EXAMPLE = "write sqlite:///path/to/news.db"
# https://sqlite.org/rescode.html: what is the matter with the database, not with a statement.
_UNUSABLE = frozenset(
    (
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_NOTADB),
    )
)
_LOCKED = ("database is locked", "database is busy")
_DAMAGED = ("not a database", "malformed", "unsupported file format")
NO_FTS5 = "no such module: fts5"


def check_url(parsed: URL) -> URL:
    """As `newsstand.storage.database.check_url`, for a URL of SQLite."""
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


def make_file(path: Path) -> os.stat_result:
    """The file, made if there is none: private from its first moment, for a copy holds what only its account may
    read. Raises ConfigurationError where its folder is missing, OSError or DatabaseError where it is something else or
    may not be written."""
    if not path.parent.is_dir():
        raise ConfigurationError(f"the folder {path.parent} does not exist; make it first")
    # A file that is there is not opened here: closing it again would end all locks that this process has on it, those
    # of SQLite too (https://sqlite.org/howtocorrupt.html, 2.2).
    while True:
        with contextlib.suppress(FileNotFoundError):
            there = path.stat()
            if not stat.S_ISREG(there.st_mode) or os.access(path, os.R_OK | os.W_OK, effective_ids=True):
                break
            if os.path.samestat(path.stat(), there):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            continue  # another process set it aside between the two looks
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(there.st_mode):
        raise DatabaseError(f"{path} is not a file")
    return there


def check_length(path: Path, there: os.stat_result) -> None:
    """Raises NotADatabase for what is too short to be one: SQLite takes it for an empty one, and would overwrite it."""
    if 0 < there.st_size < _SHORTEST:
        raise NotADatabase(f"{path} is no database")


def flush(path: Path) -> None:
    """A file or folder to the disk: what is renamed must be there after a power cut, too."""
    there = os.open(path, os.O_RDONLY)
    try:
        os.fsync(there)
    finally:
        os.close(there)


def doubt_of(path: Path) -> Path:
    """The file that says that damage was met: the next opening reads the file through."""
    return path.with_name(f"{path.name}.doubted")


def json_text(value: object) -> str:
    """Characters as they are: SQLite compares the keys of a path with the text, escapes and all."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def make_engine(
    url: URL,
    begin: str | None,
    *,
    pool: type[Pool] = NullPool,
    look_only: bool = False,
    existing: bool = False,
    cache_kib: int = CACHE_KIB,
    **options: Any,
) -> Engine:
    """`begin`, `look_only` and `cache_kib`: see `set_up_sqlite`. `existing`: no file is made where there is none."""
    engine = create_engine(
        existing_file(url) if look_only or existing else url,
        poolclass=pool,
        connect_args={
            "timeout": BUSY_SECONDS,
            "check_same_thread": False,
            "factory": forks.connector(path_of(url)),
        },
        isolation_level="AUTOCOMMIT" if begin is None else None,
        query_cache_size=200,
        json_serializer=json_text,
        **options,
    )
    set_up_sqlite(engine, begin, look_only=look_only, cache_kib=cache_kib)
    return engine


def existing_file(url: URL) -> URL:
    """The same, where SQLite makes no file: one of its own making everybody might read."""
    return URL.create("sqlite", database=f"file:{quote(str(path_of(url)))}", query={"mode": "rw", "uri": "true"})


def set_up_sqlite(engine: Engine, begin: str | None, *, look_only: bool = False, cache_kib: int = CACHE_KIB) -> None:
    """The settings of every connection of ours, and how its transactions start: None where each statement is by
    itself. The driver itself begins too late: a transaction that reads first and writes then fails when another
    process wrote between.

    `look_only`: nothing is made or written by connecting, and foreign keys are off, so that a migration may move
    tables. `cache_kib`: how much of the file the connection keeps in memory.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        if not look_only:
            _write_ahead(connection)
        for pragma in (
            "synchronous=NORMAL",
            f"foreign_keys={'OFF' if look_only else 'ON'}",
            f"cache_size=-{cache_kib}",
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


def check_unused(url: URL) -> None:
    """As `newsstand.storage.database.check_unused`. Blocks."""
    path = path_of(url)
    with translated(path), contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as conn:
        if conn.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            return  # whoever opens it turns to WAL first
        try:
            # Only the sole user of a file can leave WAL; opening it turns to it again.
            conn.execute("PRAGMA journal_mode=DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            raise DatabaseLocked(
                f"a program has {path} open, and would go on with what is dropped here: end it first"
            ) from error


def is_unusable(error: BaseException) -> bool:
    """Whether an error of the driver says that the database cannot be read or written, whatever is asked of it."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE


class translated:
    """Turns the driver's errors into ours. A context manager without a generator, because reads are short. `at_work`:
    damage that is met is noted, so that the next opening reads the file through."""

    __slots__ = ("at_work", "path")

    def __init__(self, path: Path, *, at_work: bool = False) -> None:
        self.path = path
        self.at_work = at_work

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
        if NO_FTS5 in words:
            raise DatabaseError(
                f"{self.path} needs FTS5, and the SQLite library of this Python ({sqlite3.sqlite_version}) was built "
                "without it. The SQLite of Debian, Fedora, Alpine, Homebrew, conda and of Python's own installers has "
                "it: use a Python that is linked to such a one, or build SQLite with -DSQLITE_ENABLE_FTS5; or name a "
                "PostgreSQL database"
            ) from error
        if any(locked in words for locked in _LOCKED):
            raise DatabaseLocked(
                f"another process holds {self.path} for longer than {BUSY_SECONDS:g} s; end it, or use another file"
            ) from error
        if any(damaged in words for damaged in _DAMAGED):
            if self.at_work:
                _note_damage(self.path, words)
            raise NotADatabase(f"{self.path} is no database, or is damaged ({words})") from error
        raise DatabaseError(f"{self.path}: {words}") from error


def _note_damage(path: Path, words: str) -> None:
    doubt = doubt_of(path)
    try:
        os.close(os.open(doubt, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        log.warning("cannot make %s: %s", doubt, error.strerror)
    log.error(
        "%s is damaged (%s): what cannot be read or stored is left to the services. The next start reads it through, "
        "and sets it aside if need be",
        path,
        words,
    )
