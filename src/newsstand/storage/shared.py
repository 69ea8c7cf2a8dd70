"""One database object per database and event loop, however many clients use it. Two loops of a process, each in a
thread of its own, share nothing: they are to each other as two processes are (docs/decisions/013)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Hashable

from newsstand.errors import DatabaseError
from newsstand.storage.database import Database, open_database, sharing_key


class _Place:
    """A database that one or several clients in one loop use, or are about to."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.database: Database | None = None
        self.users = 0
        # Without it, two clients that start together would both open, and migrate; or one would open while the
        # other still closes.
        self.turn = asyncio.Lock()

    @property
    def is_lost(self) -> bool:
        return self.database is not None and self.database.lost is not None


class _Loops:
    """All databases that are used in this process, by event loop."""

    def __init__(self) -> None:
        self._places: dict[asyncio.AbstractEventLoop, list[_Place]] = {}
        self._turn = threading.Lock()  # loops run in several threads

    def here(self) -> list[_Place]:
        """The databases of the running loop. What loops left that were closed without closing it is let go of."""
        with self._turn:
            ended = [place for loop in list(self._places) if loop.is_closed() for place in self._places.pop(loop)]
            places = self._places.setdefault(asyncio.get_running_loop(), [])
        for place in ended:
            if place.database is not None:
                place.database.abandon()
        return places

    def forget(self, place: _Place) -> None:
        loop = asyncio.get_running_loop()
        with self._turn:
            places = self._places.get(loop, [])
            if place in places:
                places.remove(place)
            if not places:
                self._places.pop(loop, None)


_loops = _Loops()


def _begin_anew() -> None:
    """In a child: what its parent opened is the parent's, and stays as it is."""
    global _loops  # noqa: PLW0603 - what belongs to the process does not belong to its child
    _loops = _Loops()


os.register_at_fork(after_in_child=_begin_anew)


async def acquire(url: str, *, migrate: bool = True) -> Database:
    """Open the database, or take part in one that is open in this loop. As `open_database`."""
    key, places = sharing_key(url), _loops.here()
    # Those who use a lost one leave it by themselves.
    place = next((place for place in places if place.key == key and not place.is_lost), None)
    if place is None:
        place = _Place(key)
        places.append(place)
    place.users += 1
    try:
        async with place.turn:
            if place.database is None:
                place.database = await open_database(url, migrate=migrate)
            return place.database
    except (Exception, asyncio.CancelledError):  # whatever else there is ends the loop
        await _leave(place)
        raise


async def release(database: Database) -> None:
    """Give back what `acquire` gave; the last one closes it. Raises DatabaseError in another loop than that which
    acquired it. In a child of the process that did, nothing is closed."""
    if database.is_inherited:
        return
    if database.loop is not asyncio.get_running_loop():
        raise DatabaseError("the database was acquired in another event loop, and is released in that")
    for place in _loops.here():
        if place.database is database:
            await _leave(place)
            return


async def _leave(place: _Place) -> None:
    place.users -= 1
    async with place.turn:
        if place.users:
            return
        if place.database is not None:
            database, place.database = place.database, None
            await database.close()
        if not place.users:
            _loops.forget(place)
