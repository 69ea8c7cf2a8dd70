"""Which database and which account a command means."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsstand.cli.addresses import account_jid
from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.storage.sqlite.glance import path_of_plain_url

if TYPE_CHECKING:
    from newsstand.replica import Replica  # with it comes SQLAlchemy, whose import costs half a second


def database_url(args: Any, *, make_folder: bool = False) -> str:
    """As the help says. With `make_folder`, the folder of the usual place is made, for this user only. Raises
    ConfigurationError for an argument with a password."""
    if args.database:
        return named_url(args.database)
    if given := os.environ.get("NEWSSTAND_DATABASE"):
        return given
    folder = data_folder()
    if make_folder:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"cannot make {folder}: {error.strerror}; name another place with --database"
            ) from error
    return f"sqlite:///{folder / 'newsstand.db'}"


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


def data_folder() -> Path:
    """XDG Base Directory: a relative path counts as none."""
    given = os.environ.get("XDG_DATA_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise ConfigurationError("there is no home folder: name the database with --database") from error
    return base / "newsstand"


def named_account(args: Any) -> str | None:
    """The account that was named, by option or by environment. Raises ConfigurationError where it is none."""
    given: str | None = args.account or os.environ.get("NEWSSTAND_ACCOUNT")
    return account_jid(given) if given else None


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

    from newsstand.replica import Replica
    from newsstand.storage.database import open_database

    # Where nothing can be fetched, a damaged copy is better told of than begun anew.
    database = await open_database(url, migrate=args.migrate, set_aside=False)
    replica = Replica()
    try:
        await replica.open(database)
        held = () if any_account and named is None else (record.key.account for record in replica.nodes())
        yield replica, chosen_account(named, held)
    finally:
        await replica.close()
        await database.close()


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
