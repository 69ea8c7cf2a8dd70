"""Backs a SQLite file up. A server has programs of its own for that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.database import check_url
from newsstand.storage.sqlite.backup import write_copy
from newsstand.storage.sqlite.connections import flush, path_of, translated
from newsstand.storage.sqlite.damage import SIDE_FILES
from newsstand.storage.statements import refused


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
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError("only SQLite files are backed up: write sqlite:///path/to/news.db")
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
    for side in (target.with_name(target.name + suffix) for suffix in SIDE_FILES):
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
