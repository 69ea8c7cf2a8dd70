"""Reads the rows of a table in the order of its key, and makes digests of their values, which are the same on every
database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, select, tuple_

from newsstand.storage.maintenance.whole import WholeDatabase
from newsstand.storage.schema import dialects
from newsstand.storage.schema.portable import Row, columns, key_of

AT_A_TIME = 100
"""Rows that are read ahead."""


def each_row(
    place: WholeDatabase,
    conn: Connection,
    mapped: Table,
    *,
    after: Row | None = None,
    until: Row | None = None,
    without: Collection[int] = (),
) -> Iterator[Row]:
    """In the order of the key, that of code points and bytes whatever the database. `after` and `until` are keys; the
    row of `until` is the last. What belongs to the nodes `without` is passed over, by their ids; their own rows are
    not."""
    key = _ordered_key(conn, mapped)
    statement = select(*columns(mapped)).order_by(*key)
    if after is not None:
        statement = statement.where(_compared(key) > _given(mapped, after))
    if until is not None:
        statement = statement.where(_compared(key) <= _given(mapped, until))
    statement = _left_out(statement, mapped, without)
    with place.translated():
        for row in conn.execute(statement.execution_options(yield_per=AT_A_TIME)):
            yield tuple(row)


def count(conn: Connection, mapped: Table, without: Collection[int] = ()) -> int:
    """How many rows `each_row` gives."""
    return int(conn.execute(_left_out(select(func.count()).select_from(mapped), mapped, without)).scalar_one())


def _left_out(statement: Select[Any], mapped: Table, without: Collection[int]) -> Select[Any]:
    if not without or "node_id" not in mapped.columns:
        return statement
    return statement.where(mapped.c.node_id.not_in(without))


def last_key(conn: Connection, mapped: Table) -> Row | None:
    """None where there is no row."""
    key = _ordered_key(conn, mapped)
    found = conn.execute(
        select(*mapped.primary_key.columns).order_by(*(column.desc() for column in key)).limit(1)
    ).first()
    return tuple(found) if found is not None else None


def _ordered_key(conn: Connection, mapped: Table) -> list[ColumnElement[Any]]:
    return [dialects.in_code_points(conn, column) for column in mapped.primary_key.columns]


def _compared(key: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return tuple_(*key) if len(key) > 1 else key[0]


def _given(mapped: Table, key: Row) -> ColumnElement[Any]:
    values = [literal(value, column.type) for column, value in zip(mapped.primary_key.columns, key, strict=True)]
    return _compared(values)


class Sum:
    """A digest of the rows of a table so far, with their number and the key of the last."""

    def __init__(self, mapped: Table) -> None:
        self.mapped = mapped
        self.rows = 0
        self.last: Row | None = None
        self._digest = hashlib.blake2b(digest_size=20)

    def add(self, row: Row) -> int:
        """How many bytes it takes, about."""
        text = encoded(row)
        # The length before it keeps two rows apart from one that looks like both.
        self._digest.update(len(text).to_bytes(8, "big") + text)
        self.rows += 1
        self.last = key_of(self.mapped, row)
        return len(text)

    def add_all(self, rows: Iterator[Row]) -> Self:
        for row in rows:
            self.add(row)
        return self

    @property
    def digest(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()


def encoded(row: Row) -> bytes:
    """The same for the same values, whichever database they come from."""
    return json.dumps([_plain(value) for value in row], sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """What JSON holds, and tells apart. JSONB knows no negative zero."""
    match value:
        case bytes():
            return {"bytes": value.hex()}
        case float():
            return value + 0.0
        case dict():
            return {"object": {key: _plain(inner) for key, inner in value.items()}}
        case list():
            return [_plain(inner) for inner in value]
    return value


def first_difference(mapped: Table, old: Iterator[Row], new: Iterator[Row]) -> str | None:
    """Of two tables that should be equal, both in the order of their key: in words; None where they are."""
    for was, is_now in zip_longest(old, new):
        if was is not None and is_now is not None and encoded(was) == encoded(is_now):
            continue
        keys = [key_of(mapped, row) for row in (was, is_now) if row is not None]
        first = _named(mapped, min(keys))
        if was is None or (is_now is not None and keys[1] < keys[0]):
            return f"{first} was not in the old database"
        if is_now is None or keys[0] < keys[1]:
            return f"{first} is missing"
        differing = [
            column.name
            for column, a, b in zip(columns(mapped), was, is_now, strict=True)
            if encoded((a,)) != encoded((b,))
        ]
        return f"{first} differs in {', '.join(differing)}"
    return None


def _named(mapped: Table, key: Row) -> str:
    values = (value.hex() if isinstance(value, bytes) else repr(value) for value in key)
    names = (column.name for column in mapped.primary_key.columns)
    return "the row of " + ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
