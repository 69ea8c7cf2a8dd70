"""Damaged files: damage is noted while a file is used, and the file set aside when it is next opened. Nothing is ever
deleted."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from newsstand.errors import DatabaseLocked, NotADatabase
from newsstand.storage import forks
from newsstand.storage.mapping import PREFIX
from newsstand.storage.sqlite import connections
from newsstand.storage.sqlite.connections import doubt_of

log = logging.getLogger(__name__)

SIDE_FILES = ("-wal", "-journal")
"""What SQLite keeps beside the file and a part of its contents may be in."""
# Where SQLite itself locks a file (its "PENDING_BYTE" and what follows): whoever has the file open in WAL mode, or
# reads or writes it in another, holds a part of it.
_LOCK_AT, _LOCK_BYTES = 0x40000000, 512


def look_through(path: Path) -> None:
    """Where damage was met while the file was used: read it whole, which may take a while. Raises NotADatabase where it
    is damaged; where it is not, the doubt is over."""
    if not doubt_of(path).exists():
        return
    log.warning("%s was found damaged while it was used: it is read through", path)
    with connections.translated(path), contextlib.closing(_read_only(path)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise NotADatabase(f"{path} is damaged ({' '.join(str(found).split())})")
    doubt_of(path).unlink(missing_ok=True)


def check_whole(path: Path, there: os.stat_result) -> None:
    """Raises NotADatabase where setting the file aside was begun, and its process ended."""
    if there.st_nlink > 1 and _begun(_real(path), there) is not None:
        raise NotADatabase(f"{path} is damaged, and was being set aside")


def set_aside(path: Path, there: os.stat_result, error: NotADatabase) -> None:
    """Rename the file, and what SQLite keeps beside it, so that a new one can be made in its place: what a copy holds
    can be fetched again. `there` is the file that was found damaged; where another process has put it aside already,
    nothing is done. To be called `opening.in_turn`: locks on files do not part threads of one process.

    Raises DatabaseLocked where another process has it open, or another event loop of this one. Raises `error` where it
    holds tables of others: what a program keeps itself must not vanish from under it.
    """
    real = _real(path)
    if others := _tables_of_others(real):
        raise NotADatabase(
            f"{error}. It was not set aside, because it holds other tables too ({', '.join(others[:3])}): recover "
            "them (the sqlite3 shell's .recover), or name another file"
        ) from error
    with _alone(real, error) as locked:
        if locked is None or not os.path.samestat(locked, there):
            return
        aside = _move(real, locked)
    doubt_of(path).unlink(missing_ok=True)
    log.error(
        "%s. It was set aside as %s, nothing of it was deleted, and a new copy is made: items are fetched again; what "
        "was learnt of services is learnt again; what programs stored themselves is only in that file",
        error,
        aside,
    )


def _move(real: Path, there: os.stat_result) -> Path:
    aside = _begun(real, there) or _free_name(real)
    # The file's own name goes last: until then nobody makes a new file, whose log could be taken for the old one's.
    # Its new name comes first, so that whoever finds this half done knows.
    with contextlib.suppress(OSError):  # not every file system has links
        os.link(real, aside)
    for suffix in SIDE_FILES:
        side = real.with_name(f"{real.name}{suffix}")
        with contextlib.suppress(FileNotFoundError):
            if side.stat().st_size:
                side.rename(f"{aside}{suffix}")
            else:
                side.unlink()
    real.with_name(f"{real.name}-shm").unlink(missing_ok=True)  # says only where what is in the log
    if aside.exists():
        real.unlink()
    else:
        real.rename(aside)
    connections.flush(real.parent)
    return aside


def _free_name(real: Path) -> Path:
    name = f"{real.name}.damaged-{time.strftime('%Y%m%dT%H%M', time.gmtime())}"
    free = real.with_name(name)
    number = 1
    while os.path.lexists(free):
        number += 1
        free = real.with_name(f"{name}-{number}")
    return free


def _begun(real: Path, there: os.stat_result) -> Path | None:
    """The name that the file got already, by one who was ended before taking away the old one."""
    for aside in real.parent.glob(f"{_escaped(real.name)}.damaged-*"):
        if os.path.samestat(aside.lstat(), there):
            return aside
    return None


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


@contextlib.contextmanager
def _alone(real: Path, error: NotADatabase) -> Iterator[os.stat_result | None]:
    """While nobody else uses the file: the file that is there now, if any. It may have been put aside, and its name
    given to a new one, meanwhile."""
    until = time.monotonic() + connections.BUSY_SECONDS
    # Closing the file again would end the locks of those in this process who have it open.
    while forks.is_open_here(real):
        if time.monotonic() > until:
            raise DatabaseLocked(
                f"{error}; another event loop of this process has it open: end that, so that the file can be set aside"
            ) from error
        time.sleep(0.01)
    try:
        descriptor = os.open(real, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        yield None
        return
    try:
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_AT)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() > until:
                    raise DatabaseLocked(
                        f"{error}; another process has it open: end it, so that the file can be set aside"
                    ) from error
                time.sleep(0.01)
        yield real.stat() if real.exists() else None
    finally:
        os.close(descriptor)


def _tables_of_others(real: Path) -> list[str]:
    """Those that can still be read; a file that nothing can be read of has none."""
    try:
        with contextlib.closing(_read_only(real)) as connection:
            connection.execute("PRAGMA writable_schema=ON").close()  # SQLite is content with less then
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error:
        return []
    return [str(name) for (name,) in names if not str(name).startswith((PREFIX, "sqlite_"))]


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=connections.BUSY_SECONDS)


def _real(path: Path) -> Path:
    """SQLite keeps its log beside the file, not beside a link to it."""
    return Path(os.path.realpath(path))
