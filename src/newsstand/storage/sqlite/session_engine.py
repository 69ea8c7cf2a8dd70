"""The engine of a program's sessions on a SQLite file. Importing it takes 60 ms."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from newsstand.storage import forks
from newsstand.storage.sqlite import connections as sqlite


def engine_on_file(url: URL) -> AsyncEngine:
    """The engine for sessions on a SQLite file, beside the connections of ours."""
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
