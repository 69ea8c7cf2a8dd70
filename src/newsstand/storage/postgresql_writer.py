"""Writes to PostgreSQL: in the order of the calls, one transaction each, one at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from newsstand.errors import DatabaseError
from newsstand.storage import schema
from newsstand.storage.postgresql import should_try_again, translated

T = TypeVar("T")

ATTEMPTS = 8
"""Of a transaction that fails only because of others that run at the same time."""
PAUSE = 0.01
"""Seconds before the second attempt; twice as long before each further one."""


class _Job(NamedTuple):
    run: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class PostgresqlWriter:
    """Belongs to the event loop in which it was made."""

    def __init__(self, engine: AsyncEngine, url: URL) -> None:
        self._engine = engine
        self._url = url
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._closed = False
        self._work_task = asyncio.get_running_loop().create_task(self._work(), name="newsstand-write")

    def submit(self, job: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Its result, once it is committed. A future that is cancelled before is not told; the job runs all the
        same. Raises DatabaseError when the writer is closed."""
        if self._closed:
            raise DatabaseError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(job, future))
        return future

    async def close(self) -> None:
        """Do what waits, then end."""
        if not self._closed:
            self._closed = True
            self._jobs.put_nowait(None)
        await asyncio.shield(self._work_task)
        await self._engine.dispose()

    async def _work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            try:
                with translated(self._url):
                    result = await self._run(job.run)
            except BaseException as error:  # belongs to whoever asked for the write
                if not job.future.done():
                    job.future.set_exception(_told(error))
                if isinstance(error, asyncio.CancelledError):
                    self._abandon()
                    raise
            else:
                if not job.future.done():
                    job.future.set_result(result)

    def _abandon(self) -> None:
        """The event loop is being ended: nobody is left in the dark."""
        self._closed = True
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is not None and not job.future.done():
                job.future.set_exception(DatabaseError("the database was closed"))

    async def _run(self, job: Callable[[Connection], Any]) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            committing = False
            try:
                async with self._engine.connect() as conn, conn.begin() as transaction:
                    result = await self._lock_and(conn, job)
                    committing = True
                    await transaction.commit()
                    return result
            except DBAPIError as error:
                # Where the connection broke in the commit, nobody knows whether it was.
                lost = error.connection_invalidated and not committing
                if attempt == ATTEMPTS or not (lost or should_try_again(error)):
                    raise
            await asyncio.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    async def _lock_and(self, conn: AsyncConnection, job: Callable[[Connection], Any]) -> Any:
        await conn.exec_driver_sql(schema.LOCK_WRITING)
        return await conn.run_sync(job)


def _told(error: BaseException) -> Exception:
    """SystemExit and the like must end neither the task nor the event loop."""
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
