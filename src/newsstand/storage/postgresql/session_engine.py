"""The engine of a program's sessions on a PostgreSQL server."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine


def engine_on_server(url: URL, *, pooled: bool) -> AsyncEngine:
    """The engine for sessions on a PostgreSQL server."""
    from newsstand.storage.postgresql import (
        connections as postgresql,  # costs 100 ms to import: only programs that use it pay
    )

    # A session may read long before it writes: at any other level the server would refuse it then.
    engine = postgresql.make_engine(url, pooled=pooled, isolation_level="READ COMMITTED")

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception or context.original_exception
        if postgresql.is_unusable(error):
            with postgresql.translated(url):
                raise error

    return engine
