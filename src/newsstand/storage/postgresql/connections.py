"""PostgreSQL: which URLs name a database of ours, how its connections are made, and its errors in our words."""

from __future__ import annotations

import configparser
import errno
import importlib.util
import json
import math
import re
import secrets
import socket
import time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked
from newsstand.storage import forks

CONNECT_SECONDS = 10.0
LEAVE_SECONDS = 2.0
"""How long the server may take to notice that a connection was closed."""
LARGE = 1e16
"""From here on Python writes floats with an exponent."""
DRIVERS = ("postgresql", "postgresql+asyncpg")
_EXAMPLE = "write postgresql://user@host/name"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TO_TRY_AGAIN = ("40001", "40P01")
_LOCK_NOT_AVAILABLE = "55P03"
_NO_SUCH_DATABASE = "3D000"
_NO_TEXT = ("22021", "22P05")
_NOT_PROVEN = "28P01"
_NOT_LET_IN = "28000"
_NO_RIGHT = ("42501", "3F000")
"""The second is of a role that may not even see the schema: to it, there is none."""
_UNUSABLE = ("08", "25006", "28", "3D", "42501", "53", "55P03", "57P", "58", "XX")
"""How those begin that say what is the matter with the database, not with a statement."""
_WHERE_FROM = (
    "a password is taken from ~/.pgpass or the file that $PGPASSFILE names (a line HOST:PORT:DATABASE:USER:PASSWORD, "
    "in a file that only you can read), or from $PGPASSWORD, which comes before it"
)
_UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


def check_url(parsed: URL) -> URL:
    """As `newsstand.storage.database.check_url`, for a URL of PostgreSQL. Raises ConfigurationError where the driver is
    missing, too."""
    if parsed.drivername not in DRIVERS:
        raise ConfigurationError(f"the driver of {parsed.drivername}:// is not one of ours; {_EXAMPLE}")
    if parsed.password is not None and "@" in f"{parsed.host}{parsed.database}":
        # What comes after the first @ was taken for the host, and would be named as such.
        raise ConfigurationError("the password in the URL holds an @: write %40 for it, or leave it to ~/.pgpass")
    if not parsed.database:
        raise ConfigurationError(f"the URL names no database; {_EXAMPLE}")
    if importlib.util.find_spec("asyncpg") is None:
        raise ConfigurationError(
            "PostgreSQL needs a driver that is not installed: install newsstand with its extra, newsstand[postgresql]"
        )
    return parsed.set(drivername="postgresql")


def name_of(url: URL) -> str:
    """For messages: nothing in it is secret."""
    host = url.host or url.query.get("host", "")
    where = f" on {host}" if isinstance(host, str) and host else ""
    return f"the PostgreSQL database {url.database!r}{where}"


def make_engine(url: URL, *, pooled: bool, **options: Any) -> AsyncEngine:
    """`pooled`: something between us and the server (PgBouncer, say) gives each transaction another connection of
    its own, so that nothing prepared is there the next time."""
    dsn = url.render_as_string(hide_password=False)
    settings = {"application_name": application_of(url)}

    async def connect() -> Any:
        import asyncpg

        with translated(url):
            connection = await asyncpg.connect(
                dsn, timeout=CONNECT_SECONDS, statement_cache_size=0 if pooled else 1000, server_settings=settings
            )
        forks.keep_in_children(connection)
        return connection

    arguments: dict[str, Any] = {"async_creator_fn": connect}
    if pooled:
        # Without a name, a statement is prepared anew whenever it is run, and none is left behind on the server.
        arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args=arguments,
        json_serializer=json_text,
        hide_parameters=True,
        **options,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def on_checkout(connection: Any, _: Any, __: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server closed it")  # the pool makes another

    return engine


def application_of(url: URL) -> str:
    """The name under which the server lists our connections."""
    given = url.query.get("application_name")
    return given if isinstance(given, str) else "newsstand"


def check_unused(conn: Connection, url: URL) -> None:
    """Raises DatabaseLocked where another program of ours has the database open, as far as the server knows. Blocks."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :ours "
        "AND pid <> pg_backend_pid()"
    )
    until = time.monotonic() + LEAVE_SECONDS
    while conn.execute(others, {"ours": application_of(url)}).scalar():
        conn.exec_driver_sql("SELECT pg_stat_clear_snapshot()")  # within a transaction it shows the same for ever
        if time.monotonic() > until:
            raise DatabaseLocked(
                f"a program has {name_of(url)} open, and would go on with what is dropped here: end it first"
            )
        time.sleep(0.05)


async def is_pooled(url: URL) -> bool:
    """Whether something stands between us and the server: then the process that the server named to us is not the one
    that works for us. Raises as `translated`."""
    import asyncpg

    with translated(url):
        conn = await asyncpg.connect(
            url.render_as_string(hide_password=False), timeout=CONNECT_SECONDS, statement_cache_size=0
        )
        try:
            return bool(await conn.fetchval("SELECT pg_backend_pid()") != conn.get_server_pid())
        finally:
            await conn.close()


def make_single_engine(url: URL) -> AsyncEngine:
    """For one piece of work: connections are not kept, and nothing is prepared."""
    return make_engine(url, pooled=True, poolclass=NullPool)


def json_text(value: object) -> str:
    """JSON that JSONB gives back as it was: it keeps numbers as decimals, and those written with an exponent and no
    decimal point would come back as integers."""
    mark = secrets.token_hex(8)
    spelt = _spelt_out(value, mark)
    text = json.dumps(spelt, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text if spelt == value else re.sub(f'"{mark}([^"]*)"', r"\1", text)


def _spelt_out(value: object, mark: str) -> object:
    match value:
        case float() if math.isfinite(value) and abs(value) >= LARGE:
            return f"{mark}{Decimal(value):f}.0"
        case dict():
            return {key: _spelt_out(inner, mark) for key, inner in value.items()}
        case list() | tuple():
            return [_spelt_out(inner, mark) for inner in value]
    return value


def should_try_again(error: BaseException) -> bool:
    """Whether the transaction failed only because of others that ran at the same time."""
    return sqlstate(error) in _TO_TRY_AGAIN


def is_lost(error: BaseException) -> bool:
    """Whether the connection broke."""
    import asyncpg

    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    lost = ConnectionError | asyncpg.InterfaceError | asyncpg.PostgresConnectionError | asyncpg.AdminShutdownError
    return isinstance(error, lost)


def is_unusable(error: BaseException) -> bool:
    """Whether an error of the driver says that the database cannot be read or written, whatever is asked of it."""
    return is_lost(error) or sqlstate(error).startswith(_UNUSABLE)


def sqlstate(error: BaseException) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def _words(error: BaseException) -> str:
    """On one line. Not the details: they quote what was to be stored."""
    import asyncpg

    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    words = error.args[0] if isinstance(error, asyncpg.PostgresError) and error.args else error
    return " ".join(str(words).split()) or type(error).__name__


class translated:
    """Turns the driver's errors into ours; no password is in them."""

    __slots__ = ("url",)

    def __init__(self, url: URL) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        ours = self._ours(error) if isinstance(error, Exception) else None
        if ours is not None:
            # The driver's own may hold the URL, or what was to be stored.
            raise ours from (None if isinstance(ours, ConfigurationError) else error)

    def _ours(self, error: Exception) -> Exception | None:
        import asyncpg

        if isinstance(error, configparser.Error):
            # Its words are lines of the file.
            return ConfigurationError("the service file ($PGSERVICEFILE) cannot be read: write %% for % in it")
        # SQLAlchemy 2.0 hands the last of them on as it is.
        driver = asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError
        if not isinstance(error, SQLAlchemyError | driver | OSError):
            return None
        name, state = name_of(self.url), sqlstate(error)
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        words = self._without_secrets(_words(getattr(cause, "driver_exception", cause)))
        if state == _LOCK_NOT_AVAILABLE:
            return DatabaseLocked(f"another process holds {name}; end it, or use another database")
        if state in _NO_TEXT or "surrogates not allowed" in words:
            return ConfigurationError("a text holds a NUL or half a surrogate pair, which no database can keep")
        if state == _NO_SUCH_DATABASE:
            return ConfigurationError(f"there is no database {self.url.database!r}: create it first (createdb)")
        if hint := self._hint(cause, state):
            words += f"; {hint}"
        return DatabaseError(f"{name}: {words}")

    def _hint(self, cause: BaseException, state: str) -> str | None:
        """What to do."""
        if state == _NOT_PROVEN:
            return _WHERE_FROM
        if state == _NOT_LET_IN:
            return "name another role (postgresql://user@host/name), or have the server's pg_hba.conf let this one in"
        if state in _NO_RIGHT:
            role = self.url.username or "the role"
            return (
                f"the database's owner, or a superuser, gives the right to make tables (GRANT ALL ON SCHEMA public TO "
                f"{role}), or to use those that another role made (GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}, "
                "and the same ON ALL SEQUENCES); who made them migrates them"
            )
        if self._is_unreachable(cause):
            return "is the server running there, and are the host and the port right?"
        return None

    def _is_unreachable(self, cause: BaseException) -> bool:
        if isinstance(cause, FileNotFoundError | PermissionError):  # of its socket; else of a certificate
            return str(self.url.host or self.url.query.get("host", "")).startswith("/")
        # A name with several addresses fails with an OSError that has all their errors in its words.
        several = type(cause) is OSError and cause.errno is None
        known = isinstance(cause, OSError) and cause.errno in _UNREACHABLE
        return several or known or isinstance(cause, TimeoutError | socket.gaierror)

    def _without_secrets(self, words: str) -> str:
        given = [self.url.password, *(value for key, value in self.url.query.items() if "pass" in key)]
        for secret in given:
            if isinstance(secret, str) and secret:
                words = words.replace(secret, "…").replace(quote(secret, safe=""), "…")
        return words
