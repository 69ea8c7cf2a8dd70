"""Where the database is when nobody says where: the same for programs and for the command line."""

from __future__ import annotations

import os
from pathlib import Path

from newsstand.errors import ConfigurationError, DatabaseError


def default_database(*, make_folder: bool = False) -> str:
    """$NEWSSTAND_DATABASE, else newsstand/newsstand.db in the user's data folder. With `make_folder`, that folder is
    made, for this user only. Raises ConfigurationError where there is no home folder, DatabaseError where this one
    cannot be made."""
    if given := os.environ.get("NEWSSTAND_DATABASE"):
        return given
    folder = data_folder()
    if make_folder:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"cannot make {folder}: {error.strerror}; name another place for the database"
            ) from error
    return f"sqlite:///{folder / 'newsstand.db'}"


def data_folder() -> Path:
    """XDG Base Directory: a relative path counts as none."""
    given = os.environ.get("XDG_DATA_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise ConfigurationError("there is no home folder: name another place for the database") from error
    return base / "newsstand"
