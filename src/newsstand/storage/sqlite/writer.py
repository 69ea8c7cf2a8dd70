"""The writer for SQLite: the one thread that writes to a file."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from newsstand.errors import DatabaseError
from newsstand.storage.port import Turn
from newsstand.storage.schema.explaining import UNEXPLAINED, explanation_of
from newsstand.storage.sqlite.connections import translated
from newsstand.storage.sqlite.file import OpenFile
from newsstand.storage.write_queue import GROUP, Job, WriteQueue, failure_of

T = TypeVar("T")

_Job = Job[Future[Any]]


class _Outcome(NamedTuple):
    """The result of one job, which its caller gets once its transaction has ended."""

    future: Future[Any]
    result: Any
    failure: Exception | None


class Writer:
    """The thread that writes to a file. What waits together is committed together, each part on its own savepoint."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._path = file.path
        self._engine = file.write_engine
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._queue = WriteQueue(self._jobs)
        self._thread = threading.Thread(target=self._work, name="newsstand-write", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Connection], T], turn: Turn = Turn.IN_ORDER) -> Future[T]:
        """Its result, once it is committed; what it raises is explained. A future that is cancelled before gets
        nothing; the job runs all the same. Raises DatabaseError when the writer is closed."""
        future: Future[T] = Future()
        self._queue.put(job, turn, future)
        return future

    def close(self) -> None:
        """Do what waits, then end."""
        self._queue.close(Future())
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()).turn is not Turn.LAST:
            group = [job]
            while len(group) < GROUP and (more := self._queue.next_of(job.turn)) is not None:
                group.append(more)
            while group:
                outcomes = self._run(group)
                group = group[len(outcomes) :]
                for outcome in outcomes:
                    _settle(outcome)

    def _run(self, group: list[_Job]) -> list[_Outcome]:
        """One transaction. It ends early, and nothing of it was stored, where a failure took it along (a full disk
        does that)."""
        outcomes: list[_Outcome] = []
        try:
            with self._file.writing() as conn:
                self._do(group, conn, outcomes)
        except BaseException as error:  # belongs to those who asked for the writes, never to the thread
            lost = outcomes or [_Outcome(job.future, None, None) for job in group]
            failure = self._failure_of(error)
            return [_Outcome(outcome.future, None, failure) for outcome in lost]
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
            with conn.begin_nested():
                try:
                    return _Outcome(job.future, job.run(conn), None)
                except UNEXPLAINED as error:
                    raise explanation_of(conn, error) from error
        except BaseException as error:  # belongs to whoever asked for the write
            return _Outcome(job.future, None, self._failure_of(error))

    def _failure_of(self, error: BaseException) -> Exception:
        """The error that the caller of a write gets, ours for the driver's."""
        try:
            with translated(self._path, at_work=True):
                raise error
        except BaseException as translation:
            return failure_of(translation)


def _in_transaction(conn: Connection) -> bool:
    driver: Any = conn.connection.driver_connection
    return bool(driver.in_transaction)


def _abandon(conn: Connection) -> None:
    """A commit that fails leaves its transaction open, and the next could not begin."""
    if _in_transaction(conn):
        driver: Any = conn.connection.driver_connection
        driver.rollback()


def _settle(outcome: _Outcome) -> None:
    if not outcome.future.set_running_or_notify_cancel():
        return
    if outcome.failure is not None:
        outcome.future.set_exception(outcome.failure)
    else:
        outcome.future.set_result(outcome.result)
