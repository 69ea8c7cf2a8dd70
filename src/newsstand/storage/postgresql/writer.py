"""The writer for PostgreSQL: it does writes in the order of the calls, one at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from newsstand.errors import DatabaseError
from newsstand.storage.port import Turn
from newsstand.storage.postgresql.connections import should_try_again, translated
from newsstand.storage.schema.dialects import LOCK_WRITING
from newsstand.storage.write_queue import GROUP, Job, WriteQueue, failure_of

T = TypeVar("T")

GROUP_SECONDS = 0.1
"""After so long a transaction takes no more in: while it lasts, nobody else can write."""
ATTEMPTS = 8
"""Of a transaction that fails only because of others that run at the same time."""
PAUSE = 0.01
"""Seconds before the second attempt; twice as long before each further one."""


_Job = Job[asyncio.Future[Any]]


class PostgresqlWriter:
    """The task that writes to a server, of the event loop in which it was made. What waits together is committed
    together: where several workers write, each waits for the others once for all that it has, not once for each."""

    def __init__(self, engine: AsyncEngine, url: URL) -> None:
        self._engine = engine
        self._url = url
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._queue = WriteQueue(self._jobs)
        self._loop = asyncio.get_running_loop()
        self._work_task = self._loop.create_task(self._work(), name="newsstand-write")

    def submit(self, job: Callable[[Connection], T], turn: Turn = Turn.IN_ORDER) -> asyncio.Future[T]:
        """Its result, once it is committed. A future that is cancelled before gets nothing; the job runs all the
        same. Raises DatabaseError when the writer is closed."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(job, turn, future)
        return future

    async def close(self) -> None:
        """Do what waits, then end."""
        self._queue.close(self._loop.create_future())
        await asyncio.wait({self._work_task})
        await self._engine.dispose()

    async def _work(self) -> None:
        group: list[_Job] = []
        try:
            while (job := await self._jobs.get()).turn is not Turn.LAST:
                group = [job]
                if not await self._do_together(group):
                    await self._do_one_by_one(group)
        except asyncio.CancelledError as error:
            self._abandon(group, error)
            raise

    async def _do_together(self, group: list[_Job]) -> bool:
        """In one transaction, with those that wait or come meanwhile, which join the group. False where something
        was in the way, and nothing was stored: each is to be done alone then, so that only what is wrong fails."""
        committing = False
        results: list[Any] = []
        try:
            with translated(self._url):
                async with self._engine.connect() as conn, conn.begin() as transaction:
                    await conn.exec_driver_sql(LOCK_WRITING)
                    began = time.monotonic()
                    for job in group:
                        results.append(await conn.run_sync(job.run))
                        full = len(group) >= GROUP or time.monotonic() - began > GROUP_SECONDS
                        last = len(results) == len(group)
                        if last and not full and (more := self._queue.next_of(job.turn)) is not None:
                            group.append(more)
                    committing = True
                    try:
                        await transaction.commit()
                    except DBAPIError as error:
                        committing = not should_try_again(error)  # then the server says that it did not
                        raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # belongs to whoever asked for the writes
            if not committing:
                return False
            for job in group:  # whether they were stored, nobody knows
                _fail(job, error)
        else:
            for job, result in zip(group, results, strict=True):
                _settle(job, result)
        return True

    async def _do_one_by_one(self, group: list[_Job]) -> None:
        """In their order. What comes first does not wait for all of them, and joins the group."""
        in_order = group[0].turn is not Turn.FIRST
        for job in list(group):
            while in_order and (first := self._queue.next_of(Turn.FIRST)) is not None:
                group.append(first)
                await self._do(first)
            await self._do(job)

    async def _do(self, job: _Job) -> None:
        try:
            with translated(self._url):
                result = await self._run(job.run)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # belongs to whoever asked for the write
            _fail(job, error)
        else:
            _settle(job, result)

    def _abandon(self, under_way: list[_Job], error: BaseException) -> None:
        """The event loop is being ended: every caller gets an error."""
        left = self._queue.clear()
        for job in under_way:
            _fail(job, error)
        for job in left:
            _fail(job, DatabaseError("the database was closed"))

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
        await conn.exec_driver_sql(LOCK_WRITING)
        return await conn.run_sync(job)


def _settle(job: _Job, result: Any) -> None:
    if not job.future.done():
        job.future.set_result(result)


def _fail(job: _Job, error: BaseException) -> None:
    if not job.future.done():
        job.future.set_exception(failure_of(error))
