"""The connections that a database object has to its SQLite file."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from newsstand.errors import DatabaseLost
from newsstand.storage import forks
from newsstand.storage.dialects import FTS_TABLE
from newsstand.storage.identity import Identity
from newsstand.storage.sqlite import NO_FTS5, READ_CACHE_KIB, make_engine

log = logging.getLogger(__name__)

SCANS = 4
"""How many long reads run at once: a search must not keep others waiting."""


class OpenFile:
    """Three kinds of connections, each used by one thread at a time: one that reads in the event loop, one that writes
    in the writer's thread, and up to SCANS for long reads. They are closed for a fork, and made again when they are
    next wanted.

    All of them are to the file that was at the path first. Once the path leads elsewhere, because the file was moved,
    deleted or replaced, nothing more is read or written: DatabaseLost.
    """

    def __init__(self, url: URL, path: Path, told: Callable[[str], None]) -> None:
        """`told` is called once when the file is lost, in the thread that noticed it, with what happened in words.
        Raises what the driver raises."""
        self.path = path
        self.lost: str | None = None
        self.reading = threading.Lock()
        """Held while the reader is used."""
        self.write_engine: Engine = make_engine(url, "IMMEDIATE", existing=True)
        self._told = told
        self._losing = threading.Lock()
        self._identity = Identity(path)
        self._read_engine = make_engine(url, None, existing=True, pool=StaticPool, cache_kib=READ_CACHE_KIB)
        self._scan_engine = make_engine(url, "DEFERRED", existing=True, pool=QueuePool, pool_size=SCANS, max_overflow=0)
        self._writing = threading.Lock()
        self._scanning = threading.Semaphore(SCANS)
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._paused: list[tuple[Callable[[], None], Callable[[], Connection] | None]] = []
        """How to let each connection be used again, and how to make it again."""
        try:
            self._writer = self._connect(self.write_engine)
            self._reader = self._connect(self._read_engine)
            _check_fts5(self._reader)
        except BaseException:
            self._close()
            raise
        forks.pause_for_forks(self)

    # The connections -----------------------------------------------------------------------------------------------

    def reader(self) -> Connection:
        """For whoever holds `reading`."""
        if self._reader is None:
            self._reader = self._connect(self._read_engine)
        return self._reader

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
        conn, self._reader = self._reader, None
        if conn is not None:
            conn.close()
        self._read_engine.dispose()

    # Forks ---------------------------------------------------------------------------------------------------------

    def pause(self, until: float) -> None:
        """See `forks.Pausable`."""
        with contextlib.suppress(DatabaseLost):
            self.check()
        if self.lost is not None:
            return  # no child finds it at its path
        if self.reading.acquire(timeout=_left(until)):
            self._paused.append((self.reading.release, self.reader if self._reader is not None else None))
            self._close_reader()
        if self._writing.acquire(timeout=_left(until)):
            self._paused.append((self._writing.release, self._write if self._writer is not None else None))
            self._close_writer()
        free = [self._scanning.acquire(timeout=_left(until)) for _ in range(SCANS)].count(True)
        self._paused += [(self._scanning.release, None)] * free
        if free == SCANS:
            self._scan_engine.dispose()
        if len(self._paused) == SCANS + 2:
            self._identity.forget_log()

    def resume(self) -> None:
        while self._paused:
            release, connect_again = self._paused.pop()
            try:
                if connect_again is not None:  # at once: others are to find the file in use
                    connect_again()
            except (DatabaseLost, SQLAlchemyError):
                log.debug("%s could not be opened again after a fork", self.path)  # told to whoever uses it next
            finally:
                release()

    # The file ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises DatabaseLost once the path does not lead to the file any more."""
        if self.lost is None and (what := self._identity.find_loss()) is not None:
            with self._losing:
                if self.lost is None:
                    self._lose(what)
        if self.lost is not None:
            raise DatabaseLost(self.lost)

    def _lose(self, what: str) -> None:
        self.lost = f"{self.path} {what} while it was used"
        if (aside := self._identity.put_log_aside()) is not None:
            self.lost += f" (its last changes are in {aside})"
        self._told(self.lost)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _check_fts5(conn: Connection) -> None:
    """Where SQLite lacks it, that is told now rather than when the first item is stored. Damage is told by whoever
    meets it at work."""
    try:
        conn.exec_driver_sql(f"SELECT rowid FROM {FTS_TABLE} LIMIT 0").close()  # noqa: S608 - the name is a constant
    except DBAPIError as error:
        if NO_FTS5 in str(error.orig):
            raise
