"""Whether a path still leads to the file that was opened there, and what becomes of the log that it left behind."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


class Identity:
    """The identity of an open file, and of what SQLite keeps beside it while it is open: the log (-wal) and its index
    (-shm)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # They are beside the file, not beside a link to it: and stay where they are if the link changes.
        self._real = Path(os.path.realpath(path))
        self._log_path, self._index_path = (Path(f"{self._real}{suffix}") for suffix in ("-wal", "-shm"))
        self._file: os.stat_result | None = None
        self._log: os.stat_result | None = None
        self._index: os.stat_result | None = None

    @property
    def is_known(self) -> bool:
        return self._file is not None

    def note(self) -> None:
        """A connection to the file was made."""
        if self._file is None:
            self._file = _find(self._path)
        if self._log is None:
            self._log, self._index = _find(self._log_path), _find(self._index_path)

    def forget_log(self) -> None:
        """Nobody here has the file open: SQLite deletes the log, unless another process has."""
        self._log = self._index = None

    def find_loss(self) -> str | None:
        """What became of the file, where the path does not lead to it any more. Costs two calls of the system."""
        try:
            file, log = _find(self._path), _find(self._log_path)
        except OSError:
            return None  # whoever may not read the folder cannot know
        if file is None:
            return "was moved or deleted"
        if not _is_same(file, self._file):
            return "was replaced by another file"
        if self._log is not None and not _is_same(log, self._log):
            return "lost its log (the file beside it that ends in -wal)"
        return None

    def put_log_aside(self) -> Path | None:
        """Give a lost file's log another name, if it is still there, and return that: whoever opens another file by the
        old name would take the log for that file's own, and put what is in it there. The index goes, for it says only
        where what is in the log."""
        aside = None
        with contextlib.suppress(OSError):
            if _is_same(_find(self._real), self._file) or self._log is None:
                return None  # they belong together still
            if _is_same(_find(self._log_path), self._log):
                aside = self._free_name()
                self._log_path.rename(aside)
            if _is_same(_find(self._index_path), self._index):
                self._index_path.unlink()
        return aside

    def _free_name(self) -> Path:
        name = f"{self._real.name}.lost-{time.strftime('%Y%m%dT%H%M', time.gmtime())}"
        free, number = self._real.with_name(f"{name}-wal"), 1
        while os.path.lexists(free):
            number += 1
            free = self._real.with_name(f"{name}-{number}-wal")
        return free


def _find(path: Path) -> os.stat_result | None:
    """None where there is no such file. Raises OSError."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether both are of one file, or of none."""
    if one is None or other is None:
        return one is other
    return os.path.samestat(one, other)
