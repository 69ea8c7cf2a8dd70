"""Opens databases, migrates them and more, by their URLs: `sqlite:///path/to/news.db`,
`postgresql://user@host/name`."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from newsstand.errors import ConfigurationError
from newsstand.storage.port import Database, Keeper
from newsstand.storage.sqlite import connections as sqlite
from newsstand.storage.sqlite import database as sqlite_database
from newsstand.storage.sqlite import opening

__all__ = [
    "Database",
    "Keeper",
    "check_unused",
    "check_url",
    "find_revision",
    "holds_password",
    "is_file",
    "migrate",
    "open_database",
    "sharing_key",
]

_EXAMPLES = "write sqlite:///path/to/news.db, or postgresql://user@host/name"


def check_url(url: str) -> URL:
    """The URL, in one spelling. Raises ConfigurationError, saying what would be right, for one that cannot be
    opened; the message does not repeat it, for it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"the database URL is none; {_EXAMPLES}") from None
    match backend := parsed.get_backend_name():
        case "sqlite":
            return sqlite.check_url(parsed)
        case "postgresql":
            from newsstand.storage.postgresql import (
                connections as postgresql,  # costs 100 ms to import: only programs that use it pay
            )

            return postgresql.check_url(parsed)
    raise ConfigurationError(f"{backend} databases are not supported; {_EXAMPLES}")


def holds_password(url: str) -> bool:
    """Whether there is one in the URL, which may be one that cannot be opened."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return parsed.password is not None or any("password" in key for key in parsed.query)


def is_file(url: str) -> bool:
    """Whether the database is a file, which can be made where there is none. Raises as `check_url`."""
    return check_url(url).get_backend_name() == "sqlite"


def sharing_key(url: str) -> Hashable:
    """The same for URLs that name the same database. Raises as `check_url`."""
    parsed = check_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite.path_of(parsed).resolve()
    return parsed


async def open_database(url: str, *, migrate: bool = True, set_aside: bool = True) -> Database:
    """The database at `url`, ready: created where there was none, migrated where it was older (what was in a file is
    kept beside it, until the next migration). A program's own tables in it are left alone. A file that is damaged, or
    no database, is renamed (`news.db.damaged-20261124T2130`), and a new one made, because a copy can be refilled;
    without `set_aside` it is refused. On a server, the database itself must be there.

    Without `migrate`, none of that is done here: another process is waited for that does it.

    Raises ConfigurationError for a URL that cannot be used, DatabaseNewer, DatabaseLocked, NotADatabase, or
    DatabaseError.
    """
    parsed = check_url(url)
    if parsed.get_backend_name() == "sqlite":
        return await sqlite_database.open_file(parsed, migrate=migrate, set_aside=set_aside)
    from newsstand.storage.postgresql import database as postgresql_database

    return await postgresql_database.open_server(parsed, migrate=migrate)


async def check_unused(url: str) -> None:
    """Raises DatabaseLocked where another program has the database open: it would not notice what is taken out of its
    copy, and go on as if it were there. Raises as `check_url`, and DatabaseError."""
    parsed = check_url(url)
    if parsed.get_backend_name() == "sqlite":
        await asyncio.to_thread(sqlite.check_unused, parsed)
        return
    from newsstand.storage.postgresql import opening as postgresql_opening

    await postgresql_opening.check_unused(parsed)


async def find_revision(url: str) -> str | None:
    """The revision that a database is at; None where it holds nothing of ours. Only reads: nothing is created,
    locked or migrated. Raises ConfigurationError where there is no such file, and as `open_database`."""
    if is_file(url):
        return await opening.find_revision(check_url(url))
    from newsstand.storage.postgresql import opening as postgresql_opening

    return await postgresql_opening.find_revision(check_url(url))


async def migrate(url: str, revision: str) -> None:
    """Upgrade or downgrade to `revision` ("head", "base" or a number), in one transaction, making the file if there
    is none. Raises ConfigurationError for a revision that does not exist, and as `open_database`."""
    if is_file(url):
        await opening.migrate(check_url(url), revision)
        return
    from newsstand.storage.postgresql import opening as postgresql_opening

    await postgresql_opening.migrate(check_url(url), revision)
