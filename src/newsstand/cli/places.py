"""Which database, which account and which server a command means: by its options, else by the environment."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsstand.cli.addresses import account_jid
from newsstand.default_place import default_database
from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.sqlite.glance import path_of_plain_url

if TYPE_CHECKING:
    from newsstand.replica import Replica  # with it comes SQLAlchemy, whose import costs half a second

TIMEOUT = 30.0
"""Seconds for connecting and logging in, where nothing else was said."""


def database_url(args: Any, *, make_folder: bool = False) -> str:
    """The database that a command means, as the help says. With `make_folder`, the folder of the usual place is made,
    for this user only. Raises ConfigurationError for an argument with a password."""
    if args.database:
        return named_url(args.database)
    return default_database(make_folder=make_folder)


def named_url(argument: str) -> str:
    """A URL that was given as an argument. Raises ConfigurationError where a password is in it."""
    if path_of_plain_url(argument) is None and _holds_password(argument):
        raise ConfigurationError(
            "other users of this machine can read the password in the URL, because they see a command's arguments: "
            "leave it to ~/.pgpass, $PGPASSFILE or $PGPASSWORD, or the whole URL to $NEWSSTAND_DATABASE"
        )
    return argument


def _holds_password(url: str) -> bool:
    from newsstand.storage.database import holds_password

    return holds_password(url)


def named_account(args: Any) -> str | None:
    """The account that was named, by option or by environment. Raises ConfigurationError where it is none."""
    given: str | None = args.account or os.environ.get("NEWSSTAND_ACCOUNT")
    return account_jid(given) if given else None


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of a connection. None of them is a secret."""

    server: str | None
    ca_file: str | None
    password_file: str | None
    plaintext: bool
    timeout: float


def connection(args: Any) -> Connection:
    """Each option as it was given, else as its variable says, else as usual. Raises ConfigurationError for a variable
    that says nothing of the kind."""
    return Connection(
        args.server or os.environ.get("NEWSSTAND_SERVER") or None,
        args.ca_file or os.environ.get("NEWSSTAND_CA_FILE") or None,
        args.password_file or os.environ.get("NEWSSTAND_PASSWORD_FILE") or None,
        args.plaintext or _said_yes("NEWSSTAND_PLAINTEXT"),
        args.timeout or _seconds("NEWSSTAND_TIMEOUT") or TIMEOUT,
    )


def _said_yes(variable: str) -> bool:
    given = os.environ.get(variable, "")
    if given not in ("", "0", "1"):
        raise ConfigurationError(f"${variable} is {given!r}: it may be 1 or 0")
    return given == "1"


def _seconds(variable: str) -> float | None:
    if not (given := os.environ.get(variable)):
        return None
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(given)) < math.inf:
            return seconds
    raise ConfigurationError(f"${variable} is {given!r}: it must be a number of seconds, more than 0")


def chosen_account(named: str | None, known: Iterable[str]) -> str | None:
    """The account that is read: the named one, or the only one; None where the database knows none."""
    held = sorted(set(known))
    if named is not None and held and named not in held:
        raise ConfigurationError(f"the database holds nothing of {named}, only of {', '.join(held)}")
    if named is None and len(held) > 1:
        raise ConfigurationError(f"the database holds copies of {', '.join(held)}: choose one with --account JID")
    return named or next(iter(held), None)


@asynccontextmanager
async def reading(args: Any, *, any_account: bool = False) -> AsyncIterator[tuple[Replica, str | None]]:
    """A replica without a connection, and the account that is meant. A database that does not exist is not made, but
    waited for where only others may migrate. With `any_account`, None stands for all accounts unless one is named."""
    named = named_account(args)
    url = existing(database_url(args)) if args.migrate else database_url(args)

    from newsstand import offline

    async with offline.open(url, migrate=args.migrate) as replica:
        held = () if any_account and named is None else (record.key.account for record in replica.nodes())
        yield replica, chosen_account(named, held)


def existing(url: str) -> str:
    """The URL, of a database that is there. Raises DatabaseError where there is none."""
    path = path_of_plain_url(url) or _file_of(url)
    if path is not None and not os.path.lexists(path):
        raise DatabaseError(f"there is no database at {path} yet: `newsstand sync` makes one, --database names another")
    return url


def _file_of(url: str) -> Path | None:
    """Raises ConfigurationError for a URL that cannot be opened."""
    from newsstand.storage.database import check_url, is_file

    return Path(check_url(url).database or "") if is_file(url) else None
