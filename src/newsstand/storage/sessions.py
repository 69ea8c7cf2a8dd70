"""`replica.session()`: plain SQLAlchemy over the mapped classes, on a connection of its own.

What a program changes through it keeps digests, words, counts, the log and revisions right, by listeners on the
flush. See `newsstand.storage.following` for what they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError
from newsstand.storage import forks, schema, sqlite
from newsstand.storage.following import WORDS, Following
from newsstand.storage.mapping import PubsubItem

__all__ = ["CHANGED", "COMMITTED", "WORDS", "Sessions", "engine_on_file"]

CHANGED = "newsstand.changed"
"""In a session's `info`: the ids of the nodes whose items it changed and committed, a set."""
COMMITTED = "newsstand.committed"
"""In a session's `info`, once it committed anything, such as the deletion of nodes."""
_FLUSHING = "newsstand.flushing"
_FLUSHED = "newsstand.flushed"


class _CopySession(Session):
    """The synchronous heart of the AsyncSession; the listeners are its own, not every session's."""


def engine_on_file(url: URL) -> AsyncEngine:
    """For sessions on a SQLite file, beside the connections of ours."""
    # The driver begins a transaction at the first write, so a session that only reads holds nobody up.
    engine = create_async_engine(
        sqlite.existing_file(url).set(drivername="sqlite+aiosqlite"),
        poolclass=NullPool,  # between two sessions nothing is open that a fork would have to close
        connect_args={"timeout": sqlite.BUSY_SECONDS, "factory": forks.connector(sqlite.path_of(url))},
        json_serializer=sqlite.json_text,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if sqlite.is_unusable(error):
            with sqlite.translated(sqlite.path_of(url), at_work=True):
                raise error

    return engine


def engine_on_server(url: URL, *, pooled: bool) -> AsyncEngine:
    """For sessions on PostgreSQL."""
    from newsstand.storage import postgresql  # costs 100 ms to import: only programs that use it pay

    # A session may read long before it writes: at any other level the server would refuse it then.
    engine = postgresql.make_engine(url, pooled=pooled, isolation_level="READ COMMITTED")

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception or context.original_exception
        if postgresql.is_unusable(error):
            with postgresql.translated(url):
                raise error

    return engine


class Sessions:
    """Makes sessions on one database."""

    def __init__(self, engine: AsyncEngine, check: Callable[[], None], check_process: Callable[[], None]) -> None:
        """`check` is called before anything is asked of the database, and raises where it may not be used;
        `check_process` before a transaction is undone, and raises in a child of the process."""
        self._engine = engine
        for name in ("before_cursor_execute", "commit"):
            event.listen(engine.sync_engine, name, lambda *_: check())
        event.listen(engine.sync_engine, "rollback", lambda *_: check_process())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self._engine, sync_session_class=_CopySession, expire_on_commit=False) as session:
            session.info[CHANGED] = set()
            session.info[_FLUSHED] = set()
            yield session

    async def close(self) -> None:
        await self._engine.dispose()


@event.listens_for(_CopySession, "before_flush")
def _before_flush(session: Session, _: Any, __: Any) -> None:
    _lock(session)
    session.info[_FLUSHING] = Following(session)


@event.listens_for(_CopySession, "after_flush")
def _after_flush(session: Session, _: Any) -> None:
    session.info[_FLUSHED] |= session.info.pop(_FLUSHING).finish()


@event.listens_for(_CopySession, "after_commit")
def _after_commit(session: Session) -> None:
    session.info[CHANGED] |= session.info[_FLUSHED]
    session.info[COMMITTED] = True
    session.info[_FLUSHED].clear()


@event.listens_for(_CopySession, "after_rollback")
def _after_rollback(session: Session) -> None:
    session.info[_FLUSHED].clear()


@event.listens_for(_CopySession, "do_orm_execute")
def _on_statement(state: ORMExecuteState) -> None:
    """Statements that change items behind the session's back would leave digests and revisions behind."""
    mapper = state.bind_mapper
    if (state.is_update or state.is_insert or state.is_delete) and mapper is not None and mapper.class_ is PubsubItem:
        raise ConfigurationError(
            "change items as objects, not by a statement on many: load them, change or session.delete() each, or "
            "session.add() new ones; so their digests, words and revisions follow"
        )


def _lock(session: Session) -> None:
    """From here to the commit nobody else writes: what the listeners read of revisions and positions stays true."""
    conn = session.connection()
    if conn.dialect.name != "sqlite":
        conn.exec_driver_sql(schema.LOCK_WRITING)
        return
    driver: Any = conn.connection.driver_connection
    if not driver.in_transaction:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
