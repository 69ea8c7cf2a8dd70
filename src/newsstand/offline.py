"""Reading a database without a client: in a script, at a prompt, or in a notebook."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from newsstand.analysis.analysers import Analyser
from newsstand.config import Settings
from newsstand.errors import ConfigurationError
from newsstand.replica import Replica
from newsstand.storage.database import check_url, is_file, open_database


@asynccontextmanager
async def open(
    url: str,
    *,
    analysers: Iterable[Analyser] = (),
    settings: Settings | None = None,
    entry_points: bool = True,
    migrate: bool = True,
) -> AsyncIterator[Replica]:
    """The copies in a database, without a connection: `async with newsstand.open("sqlite:///news.db") as replica:`.

    Everything that needs no service works: `get_items` (complete copies answer, marked stale), `search`, `nodes`,
    `session`, `purge`. No node is followed, judged or dropped but what a verb names, and another program may be at
    work on the same database. A database of an older version is migrated; without `migrate`, another process is waited
    for that migrates it, or makes it. A damaged one is refused, and stays where it is. `analysers` are asked before
    those of installed packages (`entry_points`) and the built-in ones.

    Raises ConfigurationError where there is no database, or the URL is none; DatabaseError where it cannot be read, or
    nobody migrated it in time.
    """
    if migrate:
        _check_there(url)
    database = await open_database(url, migrate=migrate, set_aside=False)
    try:
        replica = Replica(settings=settings, entry_points=entry_points)
        replica.only_when_asked = True
        for analyser in analysers:
            replica.register_analyser(analyser)
        try:
            await replica.open(database)
            yield replica
        finally:
            await replica.close()
    finally:
        await database.close()


def _check_there(url: str) -> None:
    path = check_url(url).database
    if is_file(url) and not os.path.lexists(path or ""):
        raise ConfigurationError(f"there is no database at {path}")
