"""Where the password comes from: never from an argument or a variable, which other programs can read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from newsstand.errors import ConfigurationError

CREDENTIAL = "newsstand-password"


def find_password(account: str, file: str | None) -> str:
    """From the file, from systemd's credentials, or from the person at the terminal. Raises ConfigurationError."""
    if file is not None:
        return _first_line(Path(file))
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder) / CREDENTIAL).exists():
        return _first_line(credential)
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"no password for {account}: give --password-file FILE, or the credential {CREDENTIAL} of systemd"
        )
    from getpass import getpass

    try:
        given = getpass(f"Password of {account}: ")
    except EOFError:
        given = ""
    if not given:
        raise ConfigurationError("no password was given")
    return given


def _first_line(file: Path) -> str:
    try:
        line = file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise ConfigurationError(f"cannot read the password from {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read the password from {file}: it is not UTF-8") from error
    if not line:
        raise ConfigurationError(f"the first line of {file} is empty: it should be the password")
    return line
