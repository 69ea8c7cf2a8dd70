"""Where the password comes from: never from an argument or a variable, which other programs can read."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from newsstand.cli.output import say
from newsstand.errors import ConfigurationError

CREDENTIAL = "newsstand-password"
KEYRING_SERVICE = "newsstand"


def find_password(account: str, file: str | None) -> str:
    """From the file; else from systemd's credentials, the account's own before the one for all; else from the
    system's keyring; else from the person at the terminal. Raises ConfigurationError, which says why the keyring had
    none."""
    if file is not None:
        password = _first_line(Path(file))
        _warn_if_open(Path(file))
        return password
    if (credential := _find_credential(account)) is not None:
        return _first_line(credential)
    answer = _ask_keyring(account)
    if answer.password:
        return answer.password
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"no password for {account}: give --password-file FILE, or the credential {CREDENTIAL} of systemd, or put "
            f"it into the keyring ({answer.why_not})"
        )
    if answer.failed:
        say(f"the password does not come from the keyring: {answer.why_not}")
    return _ask_person(account)


def _warn_if_open(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError:
        return  # gone meanwhile
    # Not of a pipe, nor of a device: they have no readers but those that were meant.
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        say(f"other users of this machine may be able to read the password in {file}: chmod 600 keeps it to you")


def _find_credential(account: str) -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    names = (f"{CREDENTIAL}.{account}", CREDENTIAL)
    return next((path for name in names if os.path.lexists(path := Path(folder) / name)), None)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the keyring answered. `failed`: there is one, and it could not be read."""

    password: str | None = field(default=None, repr=False)
    why_not: str = ""
    failed: bool = False


def _ask_keyring(account: str) -> _Answer:
    """A locked one may ask the person to unlock it. Raises nothing."""
    try:
        import keyring  # costs two tenths of a second, and is an extra
        from keyring.errors import NoKeyringError
    except ModuleNotFoundError:
        return _Answer(why_not="not installed: pip install 'newsstand[keyring]'")
    except Exception as error:  # the packages that it consists of do not fit together
        return _Answer(why_not=_in_words(error), failed=True)
    try:
        password = keyring.get_password(KEYRING_SERVICE, account)
    except NoKeyringError:
        return _Answer(why_not="this machine has none")
    except Exception as error:  # a back end is foreign code, and raises what its library raises
        return _Answer(why_not=_in_words(error), failed=True)
    return _Answer(password, f"it holds none: keyring set {KEYRING_SERVICE} {account}")


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _ask_person(account: str) -> str:
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
