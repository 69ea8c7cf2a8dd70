"""The queue of writes that wait, the same for every database: which one is next, and which may join it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection

from newsstand.errors import DatabaseError
from newsstand.storage.port import Turn

F = TypeVar("F")
"""The kind of futures on which the callers of writes wait."""

GROUP = 64
"""How many writes that wait together share a transaction."""


class Job(NamedTuple, Generic[F]):
    """A write that waits. Jobs compare in the order in which they are done: by turn, then by the order of the calls."""

    turn: Turn
    number: int
    run: Callable[[Connection], Any]
    future: F
    """What the caller of the write waits for."""


class Jobs(Protocol[F]):
    """A priority queue of jobs: that of `queue`, on which a thread waits, or that of `asyncio`."""

    def put_nowait(self, job: Job[F], /) -> None: ...

    def get_nowait(self) -> Job[F]: ...

    def empty(self) -> bool: ...


class WriteQueue(Generic[F]):
    """The jobs of one writer, which alone takes them out. Anybody may put them in, in any thread that `jobs` allows."""

    def __init__(self, jobs: Jobs[F]) -> None:
        """`jobs`: the writer waits on it for the next job."""
        self._jobs = jobs
        self._numbers = itertools.count()
        # Without it a job could be put behind the end of the queue, and its caller would wait for ever.
        self._closing = threading.Lock()
        self._closed = False

    def put(self, run: Callable[[Connection], Any], turn: Turn, future: F) -> None:
        """Add a job. Raises DatabaseError once the queue is closed."""
        with self._closing:
            if self._closed:
                raise DatabaseError("the database is closed")
            self._jobs.put_nowait(Job(turn, next(self._numbers), run, future))

    def close(self, future: F) -> None:
        """Take no more jobs. Behind those that wait comes one of the turn LAST, with this future: the writer ends
        there. May be called again."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put_nowait(Job(Turn.LAST, next(self._numbers), lambda conn: None, future))

    def next_of(self, turn: Turn) -> Job[F] | None:
        """The next job, if there is one and it may be done together with those of this turn."""
        if self._jobs.empty():
            return None
        job = self._jobs.get_nowait()
        if job.turn is turn:
            return job
        self._jobs.put_nowait(job)
        return None

    def clear(self) -> list[Job[F]]:
        """Take no more jobs, and return those that wait, so that their callers are notified."""
        with self._closing:
            self._closed = True
            left = []
            while not self._jobs.empty():
                left.append(self._jobs.get_nowait())
        return left


def failure_of(error: BaseException) -> Exception:
    """The error that the caller of a write gets. SystemExit and the like, raised by a statement, must end neither the
    writer nor the event loop."""
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
