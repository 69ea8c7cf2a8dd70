"""Where a start may not migrate, it waits until another process has made the database, or migrated it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from newsstand.errors import DatabaseError

MIGRATION_SECONDS = 120.0
"""How long a start waits for another process's migration."""
PAUSE = 0.1
"""Seconds until the database is examined again."""


async def wait_until_current(name: str, look: Callable[[], str | None]) -> None:
    """Wait until `look` finds nothing missing. It is called in a thread, again and again, changes nothing, and returns
    what is missing, in words. `name` is that of the database, for people. Raises DatabaseError where something is
    missing still after MIGRATION_SECONDS, and what `look` raises."""
    until = time.monotonic() + MIGRATION_SECONDS
    while (missing := await asyncio.to_thread(look)) is not None:
        if time.monotonic() > until:
            raise DatabaseError(
                f"{name} {missing}, and this process may not migrate: start one that may, or run `newsstand db "
                f"upgrade` (waited {MIGRATION_SECONDS:g} s)"
            )
        await asyncio.sleep(PAUSE)
