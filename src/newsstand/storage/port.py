"""The port of the storage: what the rest of Newsstand may ask of an open database, whichever it is."""

from __future__ import annotations

import asyncio
import enum
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from newsstand.errors import DatabaseError, DatabaseLost

P = ParamSpec("P")
T = TypeVar("T")


class Turn(enum.IntEnum):
    """The turn of a write: when it is done, of those that wait."""

    FIRST = 0
    IN_ORDER = 1
    LAST = 2


class Keeper(Protocol):
    """A replica that keeps an account's copies up to date. While it is not `online`, another may take its place."""

    @property
    def online(self) -> bool: ...


class Instant(Protocol):
    """A database whose short reads take microseconds, and run in the event loop."""

    def read_now(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short read, at once. Raises as `Database.read`."""


class Database(ABC):
    """An open database. Statements are functions of a synchronous Connection; they never commit. It belongs to the
    process and the event loop that opened it, and to no child of that process. What goes wrong raises DatabaseError,
    what no database can keep ConfigurationError."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """`loop`: where it is used; None: where nobody awaits anything of it."""
        self.loop = loop
        self._process = os.getpid()
        self._closed = False
        self.lost: str | None = None
        """What became of the file, where it was moved, deleted or replaced while it was used: nothing more is read or
        written then."""
        self._keepers: dict[str, Keeper] = {}
        self._listeners: set[Callable[[int], None]] = set()
        self._when_lost: set[Callable[[], None]] = set()

    @property
    def is_inherited(self) -> bool:
        """Whether it was opened by the process that this one was forked from."""
        return os.getpid() != self._process

    def check_usable(self) -> None:
        """Raises DatabaseError where it was closed, or is another process's; DatabaseLost where its file is lost."""
        self._check_process()
        if self._closed:
            raise DatabaseError("the database is closed")
        if self.lost is not None:
            raise DatabaseLost(self.lost)

    def _check_process(self) -> None:
        if self.is_inherited:
            raise DatabaseError(
                "the database was opened by the process that this one was forked from: open it here anew, after the "
                "fork"
            )

    def _check_awaitable(self) -> None:
        """The same, and where it is another event loop's."""
        self.check_usable()
        self._check_loop()

    def _check_loop(self) -> None:
        if self.loop is not None and asyncio.get_running_loop() is not self.loop:
            raise DatabaseError(
                "the database was opened in another event loop: each loop opens its own (in a thread of its own, that "
                "is all that it takes)"
            )

    def when_lost(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called in the event loop, once, should the file be lost. Returns a function that takes
        that back."""
        if self.lost is not None and self.loop is not None:
            self.loop.call_soon(listener)
        self._when_lost.add(listener)
        return lambda: self._when_lost.discard(listener)

    @property
    def instant(self) -> Instant | None:
        """What runs a short read at once, where it takes microseconds; None where each is a round trip, and awaited."""
        return None

    @property
    def folder(self) -> Path | None:
        """A folder for what will be stored in the database, until it is: there is the space that it needs anyway, and
        nobody else may read it. None: wherever temporary files go on this machine."""
        return None

    @abstractmethod
    async def read(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short read: each select in it sees what was committed before it. What was committed before the call
        is seen."""

    @abstractmethod
    async def scan(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a read that may take long, or must see one moment only: on one snapshot, and without keeping short
        ones waiting."""

    @abstractmethod
    async def write(self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a change set in a transaction of its own kind: when this returns, it is committed, whole; when it
        raises, nothing of it is. Writes happen in the order of the calls, also those whose caller was cancelled
        meanwhile. The statement may be run again from its beginning, after what it did was undone."""

    @abstractmethod
    async def write_first(
        self, statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, before all that wait for their turn: a heartbeat must not wait for other work."""

    @abstractmethod
    def session(self) -> AbstractAsyncContextManager[Any]:
        """An `AsyncSession` over the mapped classes. It may write: digests, words and revisions follow by
        themselves. What it holds is committed when the program says so; from its first flush until then nobody
        else can write."""

    def listen(self, listener: Callable[[int], None]) -> None:
        """Have `listener` called with the id of a node that somebody, perhaps in another process, changed: as far as
        the database notifies us. Nothing may depend on it. Called in the event loop."""
        self._listeners.add(listener)

    def unlisten(self, listener: Callable[[int], None]) -> None:
        """Do not call `listener` any more."""
        self._listeners.discard(listener)

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun, and let go of it. May be called again."""

    def abandon(self) -> None:
        """Let go of it where its event loop was closed, and nothing can be awaited any more. Does not block."""
        self._closed = True

    def keeper(self, account: str) -> Keeper | None:
        """Who keeps this account's copies, of those that use this object: two that both wrote, each sure of what it
        holds, would both be wrong."""
        return self._keepers.get(account)

    def keep(self, account: str, keeper: Keeper | None) -> None:
        """Put somebody, or nobody, in charge of an account's copies."""
        if keeper is None:
            self._keepers.pop(account, None)
        else:
            self._keepers[account] = keeper
