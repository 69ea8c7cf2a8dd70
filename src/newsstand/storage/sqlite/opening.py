"""Makes a SQLite file ready: creates it where there was none, migrates it where it was older, sets it aside where it is
damaged, or refuses it.

A migration is one transaction, under the lock that writing takes: whatever ends the process meanwhile, the file is as
before it or as after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked, DatabaseNewer, NotADatabase
from newsstand.storage.schema import versioning, waiting
from newsstand.storage.sqlite import damage
from newsstand.storage.sqlite.connections import (
    check_length,
    flush,
    make_engine,
    make_file,
    path_of,
    translated,
)

log = logging.getLogger(__name__)

ROOM = 4
"""A migration is begun where so many times the database's size is free: its backup, what is rewritten, and to spare."""
_BACKUP = ".before-migration-from-"


# Locks on files do not part threads of one process, and closing a file ends all that the process has on it: what makes
# the file, or sets it aside, must not happen beside another opening of it. By path.
_turns: dict[Path, threading.Lock] = {}
os.register_at_fork(after_in_child=_turns.clear)


class BeingMigrated(DatabaseLocked):
    """Another process holds the lock that a migration needs: perhaps it migrates."""


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Within it, no other thread opens this file."""
    with _turns.setdefault(path.resolve(), threading.Lock()):
        yield


def prepare(url: URL, *, set_aside: bool = True) -> None:
    """Bring the file to the newest revision. Blocks; to be called `in_turn`. Most often there is nothing to do: then
    nothing is locked, and Alembic not imported. What is refused is refused by reading alone. A file that is damaged, or
    no database, is set aside, and made anew, unless `set_aside` is false: then it is refused. Raises as
    `open_database`, and BeingMigrated where trying again may help."""
    path = path_of(url)
    with translated(path):
        while True:
            there = make_file(path)
            try:
                return _make_ready(url, path, there, thorough=set_aside)
            except NotADatabase as error:
                if not set_aside:
                    raise
                damage.set_aside(path, there, error)
            except DatabaseError:
                if _is_there(path, there):
                    raise
                # Another process has set it aside meanwhile.


def _is_there(path: Path, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), there)
    except FileNotFoundError:
        return False


def _make_ready(url: URL, path: Path, there: os.stat_result, *, thorough: bool) -> None:
    with translated(path):
        check_length(path, there)
        damage.check_whole(path, there)
        if thorough:
            damage.look_through(path)
        with make_engine(url, "DEFERRED", look_only=True).connect() as conn:
            if versioning.is_current(conn):
                return
        _move(url, path, "head")


def _move(url: URL, path: Path, revision: str) -> None:
    """Under the lock, the state is detected again: another process may have been faster."""
    with _locked(make_engine(url, "IMMEDIATE", look_only=True), path) as conn:
        target = versioning.target(revision)
        versioning.check_known(conn, to_drop=target is None)
        at = versioning.current(conn)
        if at == target:
            return
        if at is not None and target is not None:  # else there is nothing to lose, or losing it is meant
            _check_room(conn, path)
            _back_up(url, path, at)
        log.info("%s is migrated from revision %s to %s", path, at or "none", target or "none")
        versioning.move(conn, revision)


@contextlib.contextmanager
def _locked(engine: Engine, path: Path) -> Iterator[Connection]:
    """A transaction that holds the lock of those who write. Foreign keys are off in it, as SQLite wants while tables
    are moved: the migrations check them at their end."""
    with translated(path), engine.connect() as conn:
        try:
            with translated(path):
                transaction = conn.begin()
        except DatabaseLocked as error:
            raise BeingMigrated(str(error)) from error
        with transaction:
            yield conn


def _check_room(conn: Connection, path: Path) -> None:
    pages, page_size = (conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    needed, free = ROOM * pages * page_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise DatabaseError(
            f"{path} is to be migrated, which needs {_mib(needed)} MiB of free space (for a backup, and for what is "
            f"rewritten), and {_mib(free)} are free: make room. Nothing was changed"
        )


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f}"


def _back_up(url: URL, path: Path, at: str) -> None:
    """The database as it is, beside it. One such backup is kept."""
    from newsstand.storage.sqlite.backup import write_copy

    real = Path(os.path.realpath(path))
    backup = real.with_name(f"{real.name}{_BACKUP}{at}")
    # Only who holds the lock is here: what was left of one that was ended may go.
    part = real.with_name(f".{real.name}.backup-unfinished")
    try:
        part.unlink(missing_ok=True)
        write_copy(url, path, part)
        part.replace(backup)
        flush(real.parent)
    except OSError as error:
        raise DatabaseError(f"{path} is to be migrated, and cannot be backed up: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    for older in real.parent.iterdir():
        if re.fullmatch(re.escape(real.name + _BACKUP) + r"\d{4}", older.name) and older != backup:
            older.unlink(missing_ok=True)


async def wait_until_current(url: URL) -> None:
    """Wait until another process has made the file, or migrated it: nothing is changed here. Raises DatabaseNewer, and
    DatabaseError where nobody does in time."""
    path = path_of(url)
    await waiting.wait_until_current(str(path), lambda: _what_is_missing(path))


def _what_is_missing(path: Path) -> str | None:
    if not path.exists():
        return "does not exist"
    try:
        with translated(path), _look_only(path).connect() as conn:
            return None if versioning.is_current(conn) else f"is at revision {versioning.current(conn) or 'none'}"
    except DatabaseNewer:
        raise
    except DatabaseError as error:
        return f"cannot be used ({error})"


def _look_only(path: Path) -> Engine:
    return create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true", poolclass=NullPool)


async def find_revision(url: URL) -> str | None:
    """As `newsstand.storage.database.find_revision`."""
    path = path_of(url)
    if not path.is_file():
        raise ConfigurationError(f"there is no database at {path}")

    def look() -> str | None:
        with translated(path), _look_only(path).connect() as conn:
            return versioning.current(conn)

    return await asyncio.to_thread(look)


async def migrate(url: URL, revision: str) -> None:
    """As `newsstand.storage.database.migrate`. What is there already is backed up first, except on the way to "base".
    A damaged file is refused."""
    path = path_of(url)

    def run() -> None:
        with translated(path), in_turn(path):
            check_length(path, make_file(path))
        _move(url, path, revision)

    await asyncio.to_thread(run)
