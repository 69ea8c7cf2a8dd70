"""One database: opened, created or migrated at start; read in the loop, written by one thread.

See docs/decisions/002-storage.md for why reads are synchronous and writes are not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool, StaticPool

from newsstand.errors import DatabaseError
from newsstand.storage import opening
from newsstand.storage.opening import find_revision, migrate
from newsstand.storage.sqlite import check_url, make_engine, path_of, translated
from newsstand.storage.writer import Writer

__all__ = ["Database", "check_url", "find_revision", "migrate", "open_database"]

P = ParamSpec("P")
T = TypeVar("T")

SCANS = 4
"""How many long reads run at once: a search must not keep others waiting."""


async def open_database(url: str, *, migrate: bool = True, set_aside: bool = True) -> Database:
    """The database at `url`, ready: created where there was none, migrated where it was older (what was there is kept
    beside it, until the next migration). A program's own tables in it are left alone. A file that is damaged, or no
    database, is renamed (`news.db.damaged-20261124T2130`), and a new one made, because a copy can be refilled; without
    `set_aside` it is refused.

    Without `migrate`, none of that is done here: another process is waited for that does it.

    Raises ConfigurationError for a URL that cannot be used, DatabaseNewer, DatabaseLocked, NotADatabase, or
    DatabaseError.
    """
    parsed = check_url(url)
    if not migrate:
        await opening.wait_until_current(parsed)
    until = time.monotonic() + opening.MIGRATION_SECONDS
    while True:
        try:
            return await _open(parsed, set_aside=set_aside and migrate)
        except opening.BeingMigrated:
            if time.monotonic() > until:
                raise


async def _open(url: URL, *, set_aside: bool) -> Database:
    task = asyncio.ensure_future(asyncio.to_thread(Database, url, set_aside=set_aside))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_let_go)  # the thread cannot be stopped
        raise


def _let_go(opening: asyncio.Future[Database]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close_now()


class Keeper(Protocol):
    """One that keeps an account's copies up. While it is not `online`, another may take over."""

    @property
    def online(self) -> bool: ...


class Database:
    """An open database. Statements are functions of a synchronous Connection; they never commit. Used from one
    event loop."""

    def __init__(self, url: URL, *, set_aside: bool = True) -> None:
        """Blocks; use `open_database`."""
        self.url = url
        self.path: Path = path_of(url)
        self._closed = False
        with translated(self.path):
            opening.prepare(url, set_aside=set_aside)
            self._writer = Writer(make_engine(url, "IMMEDIATE"), self.path)
            try:
                self._read_engine = make_engine(url, None, pool=StaticPool)
                self._reader = self._read_engine.connect()
            except BaseException:
                self._writer.close()
                raise
        self._scan_engine = make_engine(url, "DEFERRED", pool=QueuePool, pool_size=SCANS, max_overflow=0)
        self._scanner = ThreadPoolExecutor(SCANS, thread_name_prefix="newsstand-scan")
        self._sessions: Any = None
        self._keepers: dict[str, Keeper] = {}

    def keeper(self, account: str) -> Keeper | None:
        """Who keeps this account's copies, of those in this process: two that both wrote, each sure of what it holds,
        would both be wrong."""
        return self._keepers.get(account)

    def keep(self, account: str, keeper: Keeper | None) -> None:
        """Put somebody, or nobody, in charge of an account's copies."""
        if keeper is None:
            self._keepers.pop(account, None)
        else:
            self._keepers[account] = keeper

    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short read, at once. On SQLite nothing is awaited: it takes microseconds."""
        return self.read_now(statement, *args, **kwargs)

    def read_now(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        with translated(self.path, at_work=True):
            return statement(self._reader, *args, **kwargs)

    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a read that may take long, in a thread, on one snapshot."""
        self._check_open()

        def run() -> T:
            with translated(self.path, at_work=True), self._scan_engine.begin() as conn:
                return statement(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._scanner, run)

    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a change set in a transaction of its own kind: when this returns, it is committed, whole; when it
        raises, nothing of it is. Writes happen in the order of the calls, also those whose caller was cancelled
        meanwhile."""
        return await asyncio.wrap_future(self._writer.submit(lambda conn: statement(conn, *args, **kwargs)))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """An `AsyncSession` over the mapped classes. It may write: digests, words and revisions follow by
        themselves. What it holds is committed when the program says so; from its first flush until then nobody
        else can write."""
        from newsstand.storage import sessions  # costs 60 ms to import: only programs that use it pay

        self._check_open()
        if self._sessions is None:
            self._sessions = sessions.Sessions(self.url)
        async with self._sessions.open() as session:
            yield session

    async def close(self) -> None:
        """Finish what was begun, and let go of the file. May be called again."""
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
