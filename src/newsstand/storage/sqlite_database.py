"""A SQLite file: read in the loop, written by one thread.

See docs/decisions/002-storage.md for why reads are synchronous and writes are not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool, StaticPool

from newsstand.errors import DatabaseError
from newsstand.storage import opening
from newsstand.storage.port import Database, Instant, P, T, Turn
from newsstand.storage.sqlite import READ_CACHE_KIB, make_engine, path_of, translated
from newsstand.storage.writer import Writer

SCANS = 4
"""How many long reads run at once: a search must not keep others waiting."""


async def open_file(url: URL, *, migrate: bool, set_aside: bool) -> SqliteDatabase:
    """As `newsstand.storage.database.open_database`."""
    if not migrate:
        await opening.wait_until_current(url)
    until = time.monotonic() + opening.MIGRATION_SECONDS
    while True:
        try:
            return await _open(url, set_aside=set_aside and migrate)
        except opening.BeingMigrated:
            if time.monotonic() > until:
                raise


async def _open(url: URL, *, set_aside: bool) -> SqliteDatabase:
    task = asyncio.ensure_future(asyncio.to_thread(SqliteDatabase, url, set_aside=set_aside))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_let_go)  # the thread cannot be stopped
        raise


def _let_go(opening: asyncio.Future[SqliteDatabase]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close_now()


class SqliteDatabase(Database):
    """See the port. Short reads run at once."""

    def __init__(self, url: URL, *, set_aside: bool = True) -> None:
        """Blocks; use `open_file`."""
        super().__init__()
        self.url = url
        self.path: Path = path_of(url)
        self._closed = False
        with translated(self.path):
            opening.prepare(url, set_aside=set_aside)
            self._writer = Writer(make_engine(url, "IMMEDIATE"), self.path)
            try:
                self._read_engine = make_engine(url, None, pool=StaticPool, cache_kib=READ_CACHE_KIB)
                self._reader = self._read_engine.connect()
            except BaseException:
                self._writer.close()
                raise
        self._scan_engine = make_engine(url, "DEFERRED", pool=QueuePool, pool_size=SCANS, max_overflow=0)
        self._scanner = ThreadPoolExecutor(SCANS, thread_name_prefix="newsstand-scan")
        self._sessions: Any = None

    @property
    def instant(self) -> Instant:
        return self

    @property
    def folder(self) -> Path:
        return self.path.parent

    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.read_now(statement, *args, **kwargs)

    def read_now(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        with translated(self.path, at_work=True):
            return statement(self._reader, *args, **kwargs)

    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()

        def run() -> T:
            with translated(self.path, at_work=True), self._scan_engine.begin() as conn:
                return statement(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._scanner, run)

    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._writer.submit(lambda conn: statement(conn, *args, **kwargs)))

    async def write_first(
        self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await asyncio.wrap_future(self._writer.submit(lambda conn: statement(conn, *args, **kwargs), Turn.FIRST))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        from newsstand.storage import sessions  # costs 60 ms to import: only programs that use it pay

        self._check_open()
        if self._sessions is None:
            self._sessions = sessions.Sessions(sessions.engine_on_file(self.url))
        async with self._sessions.open() as session:
            yield session

    async def close(self) -> None:
        if self._sessions is not None:
            await self._sessions.close()
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """The same, blocking, where no session was ever opened."""
        self._closed = True
        self._writer.close()
        self._scanner.shutdown()
        self._scan_engine.dispose()
        self._reader.close()
        self._read_engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseError("the database is closed")
