"""A SQLite file made ready: created where there was none, migrated where it was older, or refused."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError
from newsstand.storage import schema
from newsstand.storage.sqlite import check_url, make_engine, make_file, path_of, translated


def prepare(url: URL) -> None:
    """Bring the file to the newest revision. Blocks. Most often there is nothing to do: then nothing is locked, and
    Alembic not imported. What is refused is refused by reading alone. Raises as `open_database`, where the caller
    translates the driver's errors."""
    make_file(path_of(url))
    with make_engine(url, "DEFERRED", look_only=True).connect() as conn:
        if schema.is_current(conn):
            return
    with make_engine(url, "IMMEDIATE", look_only=True).connect() as conn:
        schema.bring_up(conn)


async def find_revision(url: str) -> str | None:
    """The revision that a database is at; None where it holds nothing of ours. Only looks: nothing is created,
    locked or migrated. Raises ConfigurationError where there is no such file, and as `open_database`."""
    path = path_of(check_url(url))
    if not path.is_file():
        raise ConfigurationError(f"there is no database at {path}")

    def look() -> str | None:
        engine = create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true", poolclass=NullPool)
        with translated(path), engine.connect() as conn:
            return schema.current(conn)

    return await asyncio.to_thread(look)


async def migrate(url: str, revision: str) -> None:
    """Upgrade or downgrade to `revision` ("head", "base" or a number), in one transaction, making the file if there
    is none. Raises ConfigurationError for a revision that does not exist, and as `open_database`."""
    parsed = check_url(url)
    path = path_of(parsed)

    def run() -> None:
        with translated(path):
            make_file(path)
            with make_engine(parsed, "IMMEDIATE", look_only=True).begin() as conn:
                schema.check_known(conn)
                schema.move(conn, revision)

    await asyncio.to_thread(run)
