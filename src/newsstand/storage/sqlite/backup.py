"""What a person does with the file as a whole: back it up, and see that no program has it open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from sqlalchemy.engine import URL

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked
from newsstand.storage.sqlite.connections import check_url, flush, make_engine, path_of, translated
from newsstand.storage.statements import refused

_SIDE_FILES = ("-wal", "-journal")


async def back_up(url: str, file: Path, *, force: bool = False, with_refused: bool = False) -> int:
    """Write the database as it is at one moment to `file`, and return how many bytes that took; programs may use it,
    and write to it, meanwhile. The file is readable for its owner only, and is whole or not there at all; one that
    is there already is replaced only with `force`. Items of nodes that were refused to their account, and are kept for
    a while, are in it only `with_refused`.

    Raises ConfigurationError for a file that cannot be meant, and DatabaseError where something goes wrong.
    """
    return await asyncio.to_thread(_back_up, url, file, force, with_refused)


def _back_up(url: str, file: Path, force: bool, with_refused: bool) -> int:
    parsed = check_url(url)
    path, target = path_of(parsed), file.absolute()
    if not path.is_file():
        raise ConfigurationError(f"there is no database at {path}")
    _check_target(path, target, force)
    # Beside the file, so that renaming it is one step; its name is nobody else's.
    part = target.with_name(f".newsstand.{secrets.token_hex(8)}")
    try:
        write_copy(parsed, path, part)
        if not with_refused:
            with translated(path):
                refused.take_out(part)
            flush(part)
        size = part.stat().st_size
        _put_in_place(part, target, force)
        flush(target.parent)
        return size
    except OSError as error:
        raise DatabaseError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_copy(url: URL, path: Path, part: Path) -> None:
    """The database as it is at one moment to a file that does not exist yet, and on to the disk."""
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with translated(path), make_engine(url, None, look_only=True).connect() as conn:
        conn.exec_driver_sql("VACUUM INTO ?", (str(part),))
    flush(part)


def _check_target(path: Path, target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise ConfigurationError(f"the folder {target.parent} does not exist; make it first")
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise ConfigurationError(f"{target} is not a file")
    if target.samefile(path):
        raise ConfigurationError(f"{target} is the database itself")
    if not force:
        raise ConfigurationError(f"there is a file {target} already; --force replaces it")
    # What is in them would be taken for a part of the backup.
    for side in (target.with_name(target.name + suffix) for suffix in _SIDE_FILES):
        if side.exists():
            raise ConfigurationError(f"there is {side}: a program uses {target} as its database; name another file")


def _put_in_place(part: Path, target: Path, force: bool) -> None:
    if force:
        part.replace(target)
        return
    try:
        os.link(part, target)  # unlike a rename, it fails where a file has come meanwhile
    except FileExistsError:
        raise ConfigurationError(f"there is a file {target} already; --force replaces it") from None
    except OSError:  # not every file system has links
        part.replace(target)


def check_unused(url: str) -> None:
    """Raises DatabaseLocked where another program has the database open: it would not notice what is taken out of its
    copy, and go on as if it were there."""
    path = path_of(check_url(url))
    with translated(path), contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as conn:
        if conn.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            return  # whoever opens it turns to WAL first
        try:
            # Only the sole user of a file can leave WAL; opening it turns to it again.
            conn.execute("PRAGMA journal_mode=DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            raise DatabaseLocked(
                f"a program has {path} open, and would go on with what is dropped here: end it first"
            ) from error
