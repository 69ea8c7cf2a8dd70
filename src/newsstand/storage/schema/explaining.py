"""What a database raises where a statement met a value that Newsstand does not write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from newsstand.errors import DatabaseError, NewsstandError

P = ParamSpec("P")
T = TypeVar("T")

UNEXPLAINED = (TypeError, ValueError, AttributeError)
"""What a statement raises that meets a value which it does not know; or that is wrong itself."""


def explanation_of(conn: Connection, error: Exception) -> Exception:
    """What to raise instead: DatabaseError, naming the row, where a hand wrote what Newsstand does not write. Raises
    the error itself where that is not why."""
    if not isinstance(error, NewsstandError | UnicodeError):
        from newsstand.storage.schema import columns  # only where something is wrong

        if (reason := columns.find_reason(conn)) is not None:
            return DatabaseError(reason)
    raise error


def explained(
    statement: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], T]:
    """The statement with its arguments. Where it fails because a hand wrote what Newsstand does not write, it raises
    DatabaseError, which names the row."""

    def run(conn: Connection) -> T:
        try:
            return statement(conn, *args, **kwargs)
        except UNEXPLAINED as error:
            raise explanation_of(conn, error) from error

    return run
