"""One database object per database and process, however many clients use it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from newsstand.storage.database import Database, key_of, open_database


class _Place:
    """A database that some here use, or are about to."""

    def __init__(self) -> None:
        self.database: Database | None = None
        self.users = 0
        # Without it, two clients that start together would both open, and migrate; or one would open while the
        # other still closes.
        self.turn = asyncio.Lock()


_places: dict[Hashable, _Place] = {}


async def acquire(url: str, *, migrate: bool = True) -> Database:
    """Open the database, or take part in one that is open. As `open_database`."""
    key = key_of(url)
    place = _places.setdefault(key, _Place())
    place.users += 1
    try:
        async with place.turn:
            if place.database is None:
                place.database = await open_database(url, migrate=migrate)
            return place.database
    except BaseException:
        await _leave(key, place)
        raise


async def release(database: Database) -> None:
    """Give back what `acquire` gave; the last one closes it."""
    for key, place in _places.items():
        if place.database is database:
            await _leave(key, place)
            return


async def _leave(key: Hashable, place: _Place) -> None:
    place.users -= 1
    async with place.turn:
        if place.users:
            return
        if place.database is not None:
            database, place.database = place.database, None
            await database.close()
        if not place.users:
            _places.pop(key, None)
