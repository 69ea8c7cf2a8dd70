"""The connections that a database object has to its SQLite file."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from newsstand.errors import DatabaseLost
from newsstand.storage import forks
from newsstand.storage.schema.full_text import FTS_TABLE
from newsstand.storage.sqlite.connections import NO_FTS5, READ_CACHE_KIB, make_engine
from newsstand.storage.sqlite.identity import Identity

log = logging.getLogger(__name__)

SCANS = 4
"""How many long reads run at once: a search must not keep others waiting."""


class OpenFile:
    """A file that is open, by three kinds of connections, each used by one thread at a time: one that reads in the
    event loop, one that writes in the writer's thread, and up to SCANS for long reads. They are closed for a fork, and
    made again when they are next wanted.

    All of them are to the file that was at the path first. Once the path leads elsewhere, because the file was moved,
    deleted or replaced, nothing more is read or written: DatabaseLost.
    """

    def __init__(self, url: URL, path: Path, listener: Callable[[str], None]) -> None:
        """`listener` is called once when the file is lost, in the thread that noticed it, with what happened in words.
        Raises what the driver raises."""
        self.path = path
        self.lost: str | None = None
        self.reading = threading.Lock()
        """Held while the reader is used."""
        self.write_engine: Engine = make_engine(url, "IMMEDIATE", existing=True)
        self._listener = listener
        self._losing = threading.Lock()
        self._identity = Identity(path)
        self._read_engine = make_engine(url, None, existing=True, pool=StaticPool, cache_kib=READ_CACHE_KIB)
        self._scan_engine = make_engine(url, "DEFERRED", existing=True, pool=QueuePool, pool_size=SCANS, max_overflow=0)
        self._writing = threading.Lock()
        self._scanning = threading.Semaphore(SCANS)
        self.open_reader: Connection | None = None
        """What `reader` returns, where it need not be made again first."""
        self._writer: Connection | None = None
        self._closed = False
        self._is_paused = False
        self._held: list[Callable[[], None]] = []
        """How to let the connections be used again, after a fork."""
        try:
            self._writer = self._connect(self.write_engine)
            self.open_reader = self._connect(self._read_engine)
            _check_fts5(self.open_reader)
        except BaseException:
            self._close()
            raise
        forks.pause_for_forks(self)

    # The connections -----------------------------------------------------------------------------------------------

    def reader(self) -> Connection:
        """For whoever holds `reading`."""
        if self.open_reader is None:
            self.open_reader = self._connect(self._read_engine)
        return self.open_reader

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Raises DatabaseLost."""
        with self._writing:
            self.check()
            yield self._write()

    def _write(self) -> Connection:
        if self._writer is None:
            self._writer = self._connect(self.write_engine)
        return self._writer

    @contextlib.contextmanager
    def scanning(self) -> Iterator[Connection]:
        """In a transaction that reads. Raises DatabaseLost."""
        with self._scanning:
            self.check()
            with self._scan_engine.begin() as conn:
                yield conn

    def _connect(self, engine: Engine) -> Connection:
        if self._identity.is_known:
            self.check()
        conn = engine.connect()
        self._identity.note()
        self.check()
        return conn

    def close(self) -> None:
        """For good. Whoever uses a connection finishes first."""
        with self.reading, self._writing:
            self._closed = True  # from now on the log may go
            self._close()

    def _close(self) -> None:
        self._close_writer()
        self._close_reader()
        self._scan_engine.dispose()

    def _close_writer(self) -> None:
        conn, self._writer = self._writer, None
        if conn is not None:
            conn.close()
        self.write_engine.dispose()

    def _close_reader(self) -> None:
        conn, self.open_reader = self.open_reader, None
        if conn is not None:
            conn.close()
        self._read_engine.dispose()

    # Forks ---------------------------------------------------------------------------------------------------------

    def pause(self, until: float) -> None:
        """See `forks.Pausable`. All of them, or none: where one is in use, the others are of no use to a child."""
        held: list[Callable[[], None]] = []
        locks: list[Any] = [self.reading, self._writing, *[self._scanning] * SCANS]
        for lock in locks:
            if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
                break
            held.append(lock.release)
        else:
            with contextlib.suppress(DatabaseLost):
                if not self._closed:
                    self.check()
                    self._close()
                    self._identity.forget_log()
                    self._is_paused = True
        self._held = held

    def resume(self) -> None:
        try:
            if self._is_paused:  # at once: others are to find the file in use
                self._write()
                self.reader()
        except (DatabaseLost, SQLAlchemyError):
            log.debug("%s could not be opened again after a fork", self.path)  # whoever uses it next gets the error
        finally:
            self._is_paused = False
            while self._held:
                self._held.pop()()

    # The file ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises DatabaseLost once the path does not lead to the file any more. For whoever uses a connection."""
        if self.lost is None and (what := self._identity.find_loss()) is not None:
            with self._losing:
                if self.lost is None:
                    self._lose(what)
        if self.lost is not None:
            raise DatabaseLost(self.lost)

    def check_between(self) -> None:
        """The same, for whoever holds no connection."""
        with self.reading:  # not while the connections are closed for a fork
            self.check()

    def _lose(self, what: str) -> None:
        self.lost = f"{self.path} {what} while it was used"
        if (aside := self._identity.put_log_aside()) is not None:
            self.lost += f" (its last changes are in {aside})"
        self._listener(self.lost)


def _check_fts5(conn: Connection) -> None:
    """Raises where SQLite lacks FTS5: now rather than when the first item is stored. Damage is reported where it is met
    at work."""
    try:
        conn.exec_driver_sql(f"SELECT rowid FROM {FTS_TABLE} LIMIT 0").close()  # noqa: S608 - the name is a constant
    except DBAPIError as error:
        if NO_FTS5 in str(error.orig):
            raise
