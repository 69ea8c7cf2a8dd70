"""Makes a PostgreSQL database ready: creates or migrates its tables, or refuses it.

Everything runs in a thread, in an event loop of its own: Alembic is slow to import, and it keeps the migration that is
under way in module globals, so two databases must not be migrated by turns.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from newsstand.errors import DatabaseLocked
from newsstand.storage.postgresql import connections
from newsstand.storage.postgresql.connections import make_single_engine, name_of, translated
from newsstand.storage.schema import versioning, waiting

T = TypeVar("T")

MIGRATION_LOCK = 0x6E657773_7374616E
"""For `pg_advisory_xact_lock`: one that migrates keeps others from it."""
LOCK_SECONDS = 2
"""How long a migration waits for a lock at a time: whoever comes after it in the queue waits as well."""
PATIENCE = 30.0
"""How long it tries."""


async def prepare(url: URL) -> None:
    """Bring the database to the newest revision. Most often there is nothing to do: then nothing is locked, and
    Alembic not imported. Raises as `open_database`."""

    def run() -> None:
        if not asyncio.run(_on_connection(url, _is_current, "AUTOCOMMIT")):
            _move(url, "head")

    await asyncio.to_thread(run)


async def wait_until_current(url: URL) -> None:
    """Wait until another process has made the tables, or migrated them: nothing is changed here. Raises DatabaseNewer,
    and DatabaseError where nobody does in time."""

    def look() -> str | None:
        return None if asyncio.run(_on_connection(url, _is_current, "AUTOCOMMIT")) else "is not up to date"

    await waiting.wait_until_current(name_of(url), look)


async def check_unused(url: URL) -> None:
    """As `newsstand.storage.database.check_unused`."""

    def check(conn: Connection) -> None:
        connections.check_unused(conn, url)

    await asyncio.to_thread(lambda: asyncio.run(_on_connection(url, check, "AUTOCOMMIT")))


async def find_revision(url: URL) -> str | None:
    """As `newsstand.storage.database.find_revision`."""
    return await asyncio.to_thread(lambda: asyncio.run(_on_connection(url, versioning.current, "AUTOCOMMIT")))


async def migrate(url: URL, revision: str) -> None:
    """As `newsstand.storage.database.migrate`."""
    await asyncio.to_thread(_move, url, revision)


def _is_current(conn: Connection) -> bool:
    """Each statement sees what is there by then: another process may be migrating. So that tables of ours have no
    revision is not checked here, but under the lock. Raises DatabaseNewer."""
    at, known = versioning.current(conn), versioning.revisions()
    if at is not None and at not in known:
        versioning.check_known(conn)
    return at == known[-1]


def _move(url: URL, revision: str) -> None:
    def move(conn: Connection) -> None:
        versioning.check_known(conn, to_drop=versioning.target(revision) is None)
        versioning.move(conn, revision)

    run_under_lock(url, move)


def run_under_lock(url: URL, migrate: Callable[[Connection], None]) -> None:
    """In one transaction, under a lock that ends with it: the state must be detected inside, for another process may
    have been faster. Where a program holds a table, its writes go on after a moment, and the migration is tried
    again. Blocks, and must not be called where an event loop runs."""
    until = time.monotonic() + PATIENCE

    def locked(conn: Connection) -> None:
        with conn.begin():
            conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            migrate(conn)

    while True:
        try:
            # What was committed while it waited for the lock must be seen, whatever the server's own default.
            asyncio.run(_on_connection(url, locked, "READ COMMITTED"))
        except DatabaseLocked:
            if time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.05, 0.5))
        else:
            return


async def _on_connection(url: URL, do: Callable[[Connection], T], isolation: str) -> T:
    engine = make_single_engine(url)
    with translated(url):
        try:
            async with engine.connect() as conn:
                await conn.execution_options(isolation_level=isolation)
                return await conn.run_sync(do)
        finally:
            await engine.dispose()
