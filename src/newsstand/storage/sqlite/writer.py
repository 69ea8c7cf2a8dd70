"""The one thread that writes."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from newsstand.errors import DatabaseError
from newsstand.storage.port import Turn
from newsstand.storage.sqlite.connections import translated
from newsstand.storage.sqlite.file import OpenFile

T = TypeVar("T")

GROUP = 64
"""How many writes that wait together share a transaction."""


class _Job(NamedTuple):
    """In the order in which they are done."""

    turn: Turn
    number: int
    run: Callable[[Connection], Any]
    future: Future[Any]


class _Outcome(NamedTuple):
    future: Future[Any]
    result: Any
    failure: Exception | None


class Writer:
    """What waits together is committed together, each part on its own savepoint."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._path = file.path
        self._engine = file.write_engine
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        # Without it a job could be put behind the end of the queue, and its caller would wait for ever.
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="newsstand-write", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Connection], T], turn: Turn = Turn.IN_ORDER) -> Future[T]:
        """Its result, once it is committed. A future that is cancelled before is not told; the job runs all the
        same. Raises DatabaseError when the writer is closed."""
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise DatabaseError("the database is closed")
            self._jobs.put(_Job(turn, next(self._numbers), job, future))
        return future

    def close(self) -> None:
        """Do what waits, then end."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(_Job(Turn.LAST, next(self._numbers), lambda conn: None, Future()))
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()).turn is not Turn.LAST:
            group = [job]
            while len(group) < GROUP and (more := self._next_of(job.turn)) is not None:
                group.append(more)
            while group:
                outcomes = self._run(group)
                group = group[len(outcomes) :]
                for outcome in outcomes:
                    _tell(outcome)

    def _next_of(self, turn: Turn) -> _Job | None:
        """One that waits and may be done together with those of this turn."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        if job.turn is turn:
            return job
        self._jobs.put(job)
        return None

    def _run(self, group: list[_Job]) -> list[_Outcome]:
        """One transaction. It ends early, and nothing of it was stored, where a failure took it along (a full disk
        does that)."""
        outcomes: list[_Outcome] = []
        try:
            with translated(self._path, at_work=True), self._file.writing() as conn:
                self._do(group, conn, outcomes)
        except BaseException as error:  # belongs to those who asked for the writes, never to the thread
            lost = outcomes or [_Outcome(job.future, None, None) for job in group]
            return [_Outcome(outcome.future, None, _told(error)) for outcome in lost]
        return outcomes

    def _do(self, group: list[_Job], conn: Connection, outcomes: list[_Outcome]) -> None:
        try:
            with conn.begin() as transaction:
                for job in group:
                    outcomes.append(self._try(job, conn))
                    if not _in_transaction(conn):
                        transaction.rollback()
                        raise outcomes[-1].failure or DatabaseError(f"{self._path}: the transaction was lost")
        except BaseException:
            _abandon(conn)
            raise

    def _try(self, job: _Job, conn: Connection) -> _Outcome:
        try:
            with translated(self._path, at_work=True), conn.begin_nested():
                return _Outcome(job.future, job.run(conn), None)
        except BaseException as error:  # belongs to whoever asked for the write
            return _Outcome(job.future, None, _told(error))


def _in_transaction(conn: Connection) -> bool:
    driver: Any = conn.connection.driver_connection
    return bool(driver.in_transaction)


def _abandon(conn: Connection) -> None:
    """A commit that fails leaves its transaction open, and the next could not begin."""
    if _in_transaction(conn):
        driver: Any = conn.connection.driver_connection
        driver.rollback()


def _told(error: BaseException) -> Exception:
    """SystemExit and the like, raised in this thread, must end neither it nor the event loop."""
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")


def _tell(outcome: _Outcome) -> None:
    if not outcome.future.set_running_or_notify_cancel():
        return
    if outcome.failure is not None:
        outcome.future.set_exception(outcome.failure)
    else:
        outcome.future.set_result(outcome.result)
