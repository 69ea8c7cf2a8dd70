"""A copy of the file as it is at one moment, made while programs use it."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import URL

from newsstand.storage.sqlite.connections import flush, make_engine, translated


def write_copy(url: URL, path: Path, part: Path) -> None:
    """The database as it is at one moment to a file that does not exist yet, and on to the disk."""
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with translated(path), make_engine(url, None, look_only=True).connect() as conn:
        conn.exec_driver_sql("VACUUM INTO ?", (str(part),))
    flush(part)
