"""The revision that a database is at, and migrations to another one. Alembic is imported only for a migration.

The revisions are numbered files, so the newest is known from their names.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseNewer
from newsstand.storage.mapping import PREFIX, VERSION_TABLE
from newsstand.storage.schema import dialects

MIGRATIONS = Path(__file__).parents[1] / "migrations"
_REVISION_FILE = re.compile(r"^(\d{4})_\w+\.py$")
_UNFINISHED = re.compile(r"^copying-(\d{4})-[0-9a-f]{16}$")
# Alembic keeps the migration that is under way in module globals: two databases cannot be migrated at once.
_alembic = threading.Lock()


def _begin_anew() -> None:
    """In a child: a thread of its parent may have held the lock."""
    global _alembic  # noqa: PLW0603 - what belongs to the process does not belong to its child
    _alembic = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)


def revisions(*folders: Path) -> list[str]:
    """All revisions that this Newsstand knows, oldest first."""
    found = [
        m[1]
        for folder in folders or (MIGRATIONS / "versions",)
        for f in folder.iterdir()
        if (m := _REVISION_FILE.match(f.name))
    ]
    return sorted(found)


def current(conn: Connection) -> str | None:
    """The revision that the database is at; None where it holds nothing of ours."""
    return dialects.find_version(conn)


def is_current(conn: Connection) -> bool:
    """Whether nothing is to be done. Only reads. Raises as `check_known`."""
    with conn.begin():
        if current(conn) == revisions()[-1]:
            return True
        check_known(conn)
        return False


def target(revision: str, *more: Path) -> str | None:
    """The revision that is meant: "head" is the newest, "base" None. `more`: folders with further revisions. Raises
    ConfigurationError for one that does not exist."""
    known = revisions(MIGRATIONS / "versions", *more)
    meant = {"head": known[-1], "base": None}.get(revision, revision)
    if meant is not None and meant not in known:
        raise ConfigurationError(f"there is no revision {revision!r}; there are {', '.join(known)}, head and base")
    return meant


def unfinished_mark(of: str) -> str:
    """What a copy that is not finished has for its revision, so that no program takes it for whole. `of` tells the
    database that is copied."""
    return f"copying-{revisions()[-1]}-{hashlib.blake2b(of.encode(), digest_size=8).hexdigest()}"


def revision_of_unfinished(at: str | None) -> str | None:
    """The revision of its tables, where `at` is the mark of a copy that is not finished."""
    found = _UNFINISHED.match(at or "")
    return found[1] if found else None


def set_revision(conn: Connection, at: str) -> None:
    """Write down another revision, or a mark, and move nothing."""
    conn.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :at"), {"at": at})


def check_known(conn: Connection, *, to_drop: bool = False) -> None:
    """Raises DatabaseNewer or DatabaseError where this Newsstand must not touch the database. What it may not use it
    may still drop (`to_drop`)."""
    known = revisions()
    # First the tables: another process may make them, and the record of their revision with them, at this moment.
    ours = [name for name in tables(conn) if name != VERSION_TABLE]
    at = current(conn)
    if (left := revision_of_unfinished(at)) is not None:
        if to_drop and left in known:
            return
        raise DatabaseError(
            "the database is a copy that is not finished. It was not touched; give the same `newsstand db copy` again, "
            "which goes on where it was, or empty it with `newsstand db downgrade base --yes`"
        )
    if at is not None and at not in known:
        raise DatabaseNewer(
            f"the database is at revision {at}, and this Newsstand knows none after {known[-1]}: a newer one made "
            "it. It was not touched; install that one, or name another database"
        )
    if at is None and ours:
        raise DatabaseError(
            f"the database has tables named like ours ({', '.join(ours[:3])}, …) but no record of their "
            "revision. It was not touched; name another database"
        )


def tables(conn: Connection) -> list[str]:
    """Those that are named like ours; a program may have others in the same database."""
    return [name for name in inspect(conn).get_table_names() if name.startswith(PREFIX)]


def move(conn: Connection, revision: str, *, more: Sequence[Path] = ()) -> None:
    """Upgrade or downgrade to `revision` ("head", "base" or a number) within the caller's transaction. `more`:
    folders with further revisions. Raises ConfigurationError for a revision that does not exist, DatabaseError
    where rows would be left that point at nothing."""
    meant = target(revision, *more)
    at = current(conn)
    if meant == at:
        return
    if (left := revision_of_unfinished(at)) is not None:
        set_revision(conn, left)
        at = left
    from alembic import command

    config = _config(conn, more)
    with _alembic, _quietly():
        if (meant or "") > (at or ""):
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without Alembic's lines in the program's log, unless the program said what it wants of them: one line of ours
    says that a database was migrated."""
    log = logging.getLogger("alembic")
    level = log.level
    if level == logging.NOTSET:
        log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def check_foreign_keys(conn: Connection) -> None:
    """Raises DatabaseError where, after a migration, a row of ours points at nothing. Tables of a program are left to
    it."""
    for name in tables(conn):
        lacking = dialects.unwatched_foreign_keys(conn, name)
        if lacking is not None:
            raise DatabaseError(f"after the migration {name} would point at what is not in {lacking}")


def _config(conn: Connection, more: Sequence[Path]) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    folders = [str(folder).replace("%", "%%") for folder in (MIGRATIONS / "versions", *more)]
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(folders))
    config.attributes["connection"] = conn
    return config
