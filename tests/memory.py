"""Temporary files in memory: what tests write is thrown away."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_NEEDED = 6 << 30
"""Of the folder and of the machine. A run has a few servers of each kind at once, and writes some hundred megabytes for
each."""


def keep_files_in_memory() -> None:
    """From here on temporary files are made in memory, by this process and by those that it starts: to make, empty and
    delete a database of PostgreSQL is to do so with hundreds of files, and takes less than half the work there; a file
    of SQLite waits for no disk. Where there is little memory, or TMPDIR says where they are made, nothing changes.

    A test can tell no difference: locks, renames and kills (SIGKILL) are the same there, and none cuts the power."""
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK | os.X_OK) and _free() > _NEEDED:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # it looks again


def _free() -> int:
    told = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2].split()
    return min(shutil.disk_usage(_MEMORY).free, int(told[0]) * 1024 if told else 0)
