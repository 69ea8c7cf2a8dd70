"""A PostgreSQL database: each read is a journey, and awaited; writes go one after the other.

See docs/decisions/009-postgresql.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from newsstand.errors import DatabaseError
from newsstand.storage import postgresql, postgresql_opening
from newsstand.storage.port import Database, P, T
from newsstand.storage.postgresql import translated
from newsstand.storage.postgresql_writer import PostgresqlWriter

READS = 8
"""Connections for reads."""
SCANS = 4
"""How many of them long reads may take: a search must not keep others waiting."""
ATTEMPTS = 5
"""Of a read that fails because of others that run at the same time (at SERIALIZABLE even those can), or because the
server closed the connection."""


async def open_server(url: URL, *, migrate: bool) -> PostgresqlDatabase:
    """As `newsstand.storage.database.open_database`."""
    pooled = await postgresql.is_pooled(url)
    if migrate:
        await postgresql_opening.prepare(url)
    else:
        await postgresql_opening.wait_until_current(url)
    return PostgresqlDatabase(url, pooled=pooled)


class PostgresqlDatabase(Database):
    """See the port. `pooled`: see `newsstand.storage.postgresql.make_engine`."""

    def __init__(self, url: URL, *, pooled: bool) -> None:
        super().__init__()
        self._url = url
        self._pooled = pooled
        self._closed = False
        self._engine = engine = self._make_engine(READS)
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._scanner = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._scans = asyncio.Semaphore(SCANS)
        self._writer = PostgresqlWriter(self._make_engine(1), url)
        self._sessions: Any = None

    def _make_engine(self, connections: int) -> AsyncEngine:
        return postgresql.make_engine(
            self._url, pooled=self._pooled, pool_size=connections, max_overflow=0, pool_timeout=60
        )

    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._reader, lambda conn: statement(conn, *args, **kwargs))

    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._scans:
            return await self._run(self._scanner, lambda conn: statement(conn, *args, **kwargs))

    async def _run(self, engine: AsyncEngine, statement: Callable[[Connection], T]) -> T:
        with translated(self._url):
            for attempt in range(1, ATTEMPTS + 1):
                self._check_open()
                try:
                    async with engine.connect() as conn:
                        return await conn.run_sync(statement)
                except DBAPIError as error:
                    again = error.connection_invalidated or postgresql.should_try_again(error)
                    if attempt == ATTEMPTS or not again:
                        raise
        raise AssertionError("unreachable")

    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._writer.submit(lambda conn: statement(conn, *args, **kwargs))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        from newsstand.storage import sessions  # costs 60 ms to import: only programs that use it pay

        self._check_open()
        if self._sessions is None:
            self._sessions = sessions.Sessions(postgresql.make_engine(self._url, pooled=self._pooled))
        async with self._sessions.open() as session:
            yield session

    async def close(self) -> None:
        self._closed = True
        if self._sessions is not None:
            await self._sessions.close()
        await self._writer.close()
        await self._engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseError("the database is closed")
