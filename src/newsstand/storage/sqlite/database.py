"""A SQLite file as the database: it is read in the event loop, and written by one thread.

See docs/decisions/002-storage.md for why reads are synchronous and writes are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from newsstand.storage.port import Database, Instant, P, T, Turn
from newsstand.storage.schema import waiting
from newsstand.storage.schema.explaining import UNEXPLAINED, explained, explanation_of
from newsstand.storage.sqlite import opening
from newsstand.storage.sqlite.connections import path_of, translated
from newsstand.storage.sqlite.file import SCANS, OpenFile
from newsstand.storage.sqlite.writer import Writer

log = logging.getLogger(__name__)


async def open_file(url: URL, *, migrate: bool, set_aside: bool) -> SqliteDatabase:
    """As `newsstand.storage.database.open_database`."""
    if not migrate:
        await opening.wait_until_current(url)
    until = time.monotonic() + waiting.MIGRATION_SECONDS
    while True:
        try:
            return await _Opening(url, set_aside=set_aside and migrate).result()
        except opening.BeingMigrated:
            if time.monotonic() > until:
                raise


class _Opening:
    """One attempt to open a file, in a thread, which cannot be stopped: when it is done, nobody may wait for it any
    more, and the event loop may be closed."""

    def __init__(self, url: URL, *, set_aside: bool) -> None:
        self._url = url
        self._set_aside = set_aside
        self._loop = asyncio.get_running_loop()
        self._turn = threading.Lock()
        self._opened: SqliteDatabase | None = None
        self._abandoned = False

    async def result(self) -> SqliteDatabase:
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            self._abandon()
            raise
        assert self._opened is not None
        return self._opened

    def _open(self) -> None:
        opened = SqliteDatabase(self._url, set_aside=self._set_aside, loop=self._loop)
        with self._turn:
            if not self._abandoned and not self._loop.is_closed():
                self._opened = opened
                return
        opened.close_now()

    def _abandon(self) -> None:
        with self._turn:
            self._abandoned = True
            opened, self._opened = self._opened, None
        if opened is not None:
            threading.Thread(target=opened.close_now, name="newsstand-close").start()


class SqliteDatabase(Database):
    """A SQLite file that is open: an implementation of the port. Short reads run at once."""

    def __init__(self, url: URL, *, set_aside: bool = True, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Blocks; use `open_file`."""
        super().__init__(loop)
        self.url = url
        self.path: Path = path_of(url)
        with translated(self.path), opening.in_turn(self.path):
            opening.prepare(url, set_aside=set_aside)
            self._file = OpenFile(url, self.path, self._lose)
        self._writer = Writer(self._file)
        self._scanner = ThreadPoolExecutor(SCANS, thread_name_prefix="newsstand-scan")
        self._sessions: Any = None

    @property
    def instant(self) -> Instant:
        return self

    @property
    def folder(self) -> Path:
        return self.path.parent

    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_awaitable()
        return self.read_now(statement, *args, **kwargs)

    def read_now(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        file = self._file
        if self._closed or self.lost is not None or os.getpid() != self._process:
            self.check_usable()  # raises
        try:
            with file.reading:
                return statement(file.open_reader or file.reader(), *args, **kwargs)
        except UNEXPLAINED as error:  # as `explained` does, which would cost as much as a short read
            with translated(self.path, at_work=True), file.reading:
                raise explanation_of(file.reader(), error) from error
        except Exception:
            with translated(self.path, at_work=True):
                raise

    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_awaitable()
        scan = explained(statement, *args, **kwargs)

        def run() -> T:
            with translated(self.path, at_work=True), self._file.scanning() as conn:
                return scan(conn)

        return await asyncio.get_running_loop().run_in_executor(self._scanner, run)

    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._write(Turn.IN_ORDER, lambda conn: statement(conn, *args, **kwargs))

    async def write_first(
        self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._write(Turn.FIRST, lambda conn: statement(conn, *args, **kwargs))

    def _write(self, turn: Turn, job: Callable[[Connection], T]) -> asyncio.Future[T]:
        self._check_awaitable()
        return asyncio.wrap_future(self._writer.submit(job, turn))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        from newsstand.storage.orm import sessions  # costs 60 ms to import: only programs that use it pay
        from newsstand.storage.sqlite import session_engine

        self._check_awaitable()
        self._file.check_between()
        if self._sessions is None:
            self._sessions = sessions.Sessions(
                session_engine.engine_on_file(self.url), self._check_file, self._check_process
            )
        async with self._sessions.open() as session:
            yield session

    def _check_file(self) -> None:
        self.check_usable()
        self._file.check_between()

    async def close(self) -> None:
        if self.is_inherited:
            return  # it is the other process's
        if self._sessions is not None:
            await self._sessions.close()
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """The same, blocking, where no session is open."""
        self._closed = True
        self._writer.close()
        self._scanner.shutdown()
        self._file.close()

    def abandon(self) -> None:
        self._closed = True
        threading.Thread(target=self.close_now, name="newsstand-close").start()

    # The file's end ------------------------------------------------------------------------------------------------

    def _lose(self, what: str) -> None:
        self.lost = what
        log.error(
            "%s: Newsstand is off, every read goes to the service, and nothing more is stored. Start the program anew "
            "to have it opened, or made, again",
            what,
        )
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be notified
                self.loop.call_soon_threadsafe(self._notify_lost)

    def _notify_lost(self) -> None:
        for listener in list(self._when_lost):
            listener()
