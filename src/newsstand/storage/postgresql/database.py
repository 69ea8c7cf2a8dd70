"""A PostgreSQL database: each read is a round trip, and awaited; writes go one after the other.

See docs/decisions/009-postgresql.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from newsstand.storage import forks
from newsstand.storage.port import Database, P, T, Turn
from newsstand.storage.postgresql import connections as postgresql
from newsstand.storage.postgresql import opening
from newsstand.storage.postgresql.connections import translated
from newsstand.storage.postgresql.writer import PostgresqlWriter
from newsstand.storage.schema import dialects
from newsstand.storage.schema.explaining import explained

log = logging.getLogger(__name__)

READS = 8
"""Connections for reads."""
SCANS = 4
"""How many of them long reads may take: a search must not keep others waiting."""
LISTEN_AGAIN = 5.0
"""Seconds until notifications of changes are asked for again, after the connection for them broke."""
ATTEMPTS = 5
"""Of a read that fails because of others that run at the same time (at SERIALIZABLE even those can), or because the
server closed the connection."""


async def open_server(url: URL, *, migrate: bool) -> PostgresqlDatabase:
    """As `newsstand.storage.database.open_database`."""
    pooled = await postgresql.is_pooled(url)
    if migrate:
        await opening.prepare(url)
    else:
        await opening.wait_until_current(url)
    return PostgresqlDatabase(url, pooled=pooled)


class PostgresqlDatabase(Database):
    """A database of a PostgreSQL server that is open: an implementation of the port. `pooled`: see
    `newsstand.storage.postgresql.connections.make_engine`."""

    def __init__(self, url: URL, *, pooled: bool) -> None:
        super().__init__(asyncio.get_running_loop())
        self._url = url
        self._pooled = pooled
        self._engine = engine = self._make_engine(READS)
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._scanner = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._scans = asyncio.Semaphore(SCANS)
        self._writer = PostgresqlWriter(self._make_engine(1), url)
        self._sessions: Any = None
        self._listening: asyncio.Task[None] | None = None

    def _make_engine(self, connections: int) -> AsyncEngine:
        return postgresql.make_engine(
            self._url, pooled=self._pooled, pool_size=connections, max_overflow=0, pool_timeout=60
        )

    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._reader, explained(statement, *args, **kwargs))

    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_awaitable()
        async with self._scans:
            return await self._run(self._scanner, explained(statement, *args, **kwargs))

    async def _run(self, engine: AsyncEngine, statement: Callable[[Connection], T]) -> T:
        # As `run_sync` does, but for connecting, too: each change of stacks costs a part of what a short read does.
        def run() -> T:
            with engine.sync_engine.connect() as conn:
                return statement(conn)

        with translated(self._url):
            for attempt in range(1, ATTEMPTS + 1):
                self._check_awaitable()
                try:
                    return await greenlet_spawn(run)
                except Exception as error:
                    again = postgresql.is_lost(error) or postgresql.should_try_again(error)
                    if attempt == ATTEMPTS or not again:
                        raise
        raise AssertionError("unreachable")

    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_awaitable()
        return await self._writer.submit(explained(statement, *args, **kwargs))

    async def write_first(
        self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self._check_awaitable()
        return await self._writer.submit(explained(statement, *args, **kwargs), Turn.FIRST)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        from newsstand.storage.orm import sessions  # costs 60 ms to import: only programs that use it pay
        from newsstand.storage.postgresql import session_engine

        self._check_awaitable()
        if self._sessions is None:
            engine = session_engine.engine_on_server(self._url, pooled=self._pooled)
            self._sessions = sessions.Sessions(engine, self.check_usable, self._check_process)
        async with self._sessions.open() as session:
            yield session

    def listen(self, listener: Callable[[int], None]) -> None:
        super().listen(listener)
        if self._listening is None and not self._pooled:  # behind PgBouncer no notification arrives
            self._listening = asyncio.get_running_loop().create_task(self._listen(), name="newsstand-listen")

    async def _listen(self) -> None:
        """On a connection of its own; again and again, should it break."""
        import asyncpg

        dsn = self._url.render_as_string(hide_password=False)
        while True:
            ended = asyncio.Event()
            try:
                conn = await asyncpg.connect(dsn, timeout=postgresql.CONNECT_SECONDS)
                forks.keep_in_children(conn)
                try:
                    conn.add_termination_listener(lambda _, ended=ended: ended.set())
                    await conn.add_listener(dialects.CHANNEL, self._notified)
                    await ended.wait()
                finally:
                    conn.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("no notifications of changes: %s", type(error).__name__)
            await asyncio.sleep(LISTEN_AGAIN)

    def _notified(self, _: object, __: int, ___: str, payload: object) -> None:
        text = str(payload)
        if text.isdecimal():
            for listener in list(self._listeners):
                listener(int(text))

    async def close(self) -> None:
        if self.is_inherited:
            return  # it is the other process's
        self._closed = True
        self._check_loop()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        if self._sessions is not None:
            await self._sessions.close()
        await self._writer.close()
        await self._engine.dispose()
