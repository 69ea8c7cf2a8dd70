"""A database as a whole, of whichever kind, for work on all of it: checking, repairing, copying.

Such work is written once, against Connections, and blocks. It is done in a thread, in an event loop of its own, for the
driver of PostgreSQL wants one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.util import greenlet_spawn

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.database import check_url
from newsstand.storage.schema import dialects, versioning
from newsstand.storage.sqlite import connections as sqlite

T = TypeVar("T")


class WholeDatabase:
    """A database that work is done on as a whole, by its URL. What its Connections raise is the driver's, to be
    `translated` where they are used: so the errors of two databases at once are told apart."""

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError for a URL that cannot be used."""
        self.url: URL = check_url(url)
        self.is_file = self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """For messages: nothing in it is secret."""
        if self.is_file:
            return str(sqlite.path_of(self.url))
        from newsstand.storage.postgresql import connections as postgresql

        return postgresql.name_of(self.url)

    @property
    def identity(self) -> str:
        """The same for the same database, whoever logs in to it."""
        if self.is_file:
            return str(sqlite.path_of(self.url).resolve())
        url = self.url
        return repr((url.host or url.query.get("host"), url.port or url.query.get("port"), url.database))

    @property
    def exists(self) -> bool:
        """Whether the file is there. Whether a server's database is, connecting shows."""
        return not self.is_file or sqlite.path_of(self.url).is_file()

    def check_exists(self) -> None:
        if not self.exists:
            raise ConfigurationError(f"there is no database at {self.name}")

    def translated(self) -> AbstractContextManager[None]:
        """Turns what the driver raises into our errors, which name this database."""
        if self.is_file:
            return sqlite.translated(sqlite.path_of(self.url))
        from newsstand.storage.postgresql import connections as postgresql

        return postgresql.translated(self.url)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """In a transaction that reads, and sees one moment of the database from its first read on."""
        if self.is_file:
            with sqlite.make_engine(self.url, "DEFERRED", look_only=True).begin() as conn:
                yield conn
            return
        with self._server("REPEATABLE READ", postgresql_readonly=True) as conn, conn.begin():
            yield conn

    @contextmanager
    def connection(self, *, foreign_keys: bool = True) -> Iterator[Connection]:
        """For `change`. Without `foreign_keys` a file is left in the mode it is in, and SQLite neither watches them nor
        has what hangs on a row go with it; PostgreSQL always does."""
        if self.is_file:
            with sqlite.make_engine(self.url, "IMMEDIATE", look_only=not foreign_keys).connect() as conn:
                yield conn
            return
        with self._server("READ COMMITTED") as conn:
            yield conn

    @contextmanager
    def change(self, conn: Connection) -> Iterator[None]:
        """A transaction on what `connection` gave; meanwhile nobody else writes."""
        with conn.begin():
            dialects.lock_writing(conn)
            yield

    @contextmanager
    def _server(self, isolation: str, **options: Any) -> Iterator[Connection]:
        from newsstand.storage.postgresql import connections as postgresql

        engine = postgresql.make_single_engine(self.url).sync_engine
        with engine.execution_options(isolation_level=isolation, **options).connect() as conn:
            yield conn

    def check_revision(self, conn: Connection) -> None:
        """Raises DatabaseError where its schema is not the newest, DatabaseNewer where it is a newer one's."""
        versioning.check_known(conn)
        at, newest = versioning.current(conn), versioning.revisions()[-1]
        if at is None:
            raise DatabaseError(f"{self.name} holds nothing of ours: name another database")
        if at != newest:
            raise DatabaseError(f"{self.name} is at revision {at}: `newsstand db upgrade` brings it to {newest} first")


async def work(do: Callable[[], T], stop: threading.Event | None = None) -> T:
    """Do it in a thread, where Connections of every kind can be used. Whoever is cancelled meanwhile waits until it is
    done all the same, for a thread cannot be ended: so what takes long looks at `stop`, which is set then."""
    task = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(_on_greenlet(do))))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it
        raise


async def _on_greenlet(do: Callable[[], T]) -> T:
    return await greenlet_spawn(do)
