"""Keeps open connections safe from forks of the process (docs/decisions/013-loops-threads-and-forks.md).

A child has its parent's memory and descriptors, but not its threads and none of its locks. SQLite believes in what it
remembers of a file, so a child that used, or closed, a connection of its parent could damage the database. Therefore:

- Before a fork the connections of each open file are closed; they are made again when they are next wanted.
- A connection that is in use for longer than PATIENCE stays open. The child then keeps it without ever touching it,
  and is refused the file.
- Connections to a server are kept in the child without being touched: closing one takes its socket out of the event
  loop of the parent, too.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from newsstand.errors import DatabaseError

PATIENCE = 5.0
"""Seconds for which a fork waits, in all, for what is being read and written."""

FileId = tuple[int, int]
"""Device and inode."""


def file_id(there: os.stat_result) -> FileId:
    return there.st_dev, there.st_ino


class Pausable(Protocol):
    """An owner of connections to a file that can close them for a while."""

    def pause(self, until: float) -> None:
        """Close the connections that are not in use by then (of `time.monotonic`), and let nobody use any before
        `resume`. Called in any thread."""

    def resume(self) -> None: ...


class Connection(sqlite3.Connection):
    """A connection to a SQLite file, known to be open from its beginning to its end."""

    __slots__ = ("__weakref__",)

    def close(self) -> None:
        super().close()
        with _state.lock:
            _state.open.pop(self, None)


class _State:
    """What is known of the connections of this process. A child begins anew."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close a connection while another one is being made.
        self.lock = threading.RLock()
        self.forking = threading.Lock()
        self.pausable: weakref.WeakSet[Pausable] = weakref.WeakSet()
        self.paused: list[Pausable] = []
        self.open: weakref.WeakKeyDictionary[Connection, FileId] = weakref.WeakKeyDictionary()
        self.to_servers: weakref.WeakSet[object] = weakref.WeakSet()
        self.inherited: frozenset[FileId] = frozenset()
        """The files that the parent had open at the moment of the fork."""


_state = _State()


def connector(path: Path) -> Callable[..., Connection]:
    """The `factory` for `sqlite3.connect` of a file. It raises DatabaseError for a file that this process may not
    open."""

    def connect(*args: Any, **options: Any) -> Connection:
        with _state.lock:  # no fork comes between opening a file and knowing of it
            _check(path)
            connection = Connection(*args, **options)
            with contextlib.suppress(OSError):  # taken away at this very moment: then nobody opens it by its name
                _state.open[connection] = file_id(path.stat())
            return connection

    return connect


def _check(path: Path) -> None:
    try:
        inherited = bool(_state.inherited) and file_id(path.stat()) in _state.inherited
    except OSError:
        return
    if inherited:
        raise DatabaseError(
            f"{path} was being used at the moment when this process was forked, and SQLite cannot open it here any "
            "more: fork before the database is opened, or start the process anew (multiprocessing: spawn)"
        )


def is_open_here(path: Path) -> bool:
    """Whether this process has the file open that is there."""
    with _state.lock:
        open_here = set(_state.open.values())
    try:
        return file_id(path.stat()) in open_here
    except OSError:
        return False


def pause_for_forks(pausable: Pausable) -> None:
    """From now on, as long as it is there."""
    with _state.lock:
        _state.pausable.add(pausable)


def keep_in_children(connection: object) -> None:
    """A connection to a server: children are not to touch it, nor to close it."""
    with _state.lock:
        _state.to_servers.add(connection)


def never_close(connection: object) -> None:
    """Not even when the interpreter ends."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _before() -> None:
    state = _state
    state.forking.acquire()
    with state.lock:
        pausable = list(state.pausable)
    until = time.monotonic() + PATIENCE
    try:
        for each in pausable:
            state.paused.append(each)
            each.pause(until)
    finally:
        state.lock.acquire()


def _after_in_parent() -> None:
    state = _state
    state.lock.release()
    for each in state.paused:
        each.resume()
    state.paused.clear()
    state.forking.release()


def _after_in_child() -> None:
    global _state
    parents, _state = _state, _State()
    for connection in (*parents.open, *parents.to_servers):
        never_close(connection)
    _state.inherited = parents.inherited | frozenset(parents.open.values())


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
