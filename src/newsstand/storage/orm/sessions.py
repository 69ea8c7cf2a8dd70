"""`replica.session()`: plain SQLAlchemy over the mapped classes, on a connection of its own.

What a program changes through it keeps digests, words, counts, the log and revisions right, by listeners on the
flush. See `newsstand.storage.orm.flush` for what they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session

from newsstand.errors import ConfigurationError
from newsstand.storage.mapping import PubsubItem
from newsstand.storage.orm.flush import WORDS, Flush
from newsstand.storage.schema import dialects

__all__ = ["CHANGED", "COMMITTED", "WORDS", "Sessions"]

CHANGED = "newsstand.changed"
"""In a session's `info`: the ids of the nodes whose items it changed and committed, a set."""
COMMITTED = "newsstand.committed"
"""In a session's `info`, once it committed anything, such as the deletion of nodes."""
_FLUSHING = "newsstand.flushing"
_FLUSHED = "newsstand.flushed"


class _CopySession(Session):
    """The synchronous heart of the AsyncSession; the listeners are its own, not every session's."""


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
    # What the listeners read of revisions and positions stays true until the commit.
    dialects.lock_writing(session.connection())
    session.info[_FLUSHING] = Flush(session)


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
