"""What the columns may hold, beyond what the database itself checks.

SQLite takes a value of any type in any column, and no database knows which words a column may hold. So a hand that
changes a row can write what no Newsstand writes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    type_coerce,
)
from sqlalchemy.types import NullType

from newsstand.model import ChangeKind, Subscription, SyncState, Verdict
from newsstand.storage.mapping import Base, ItemChange, Json, PubsubItem, PubsubNode, Service, table

_node = table(PubsubNode)
_service = table(Service)
_item = table(PubsubItem)
_change = table(ItemChange)

WORDS: Mapping[Column[Any], type[enum.StrEnum]] = {
    _node.c.verdict: Verdict,
    _node.c.state: SyncState,
    _node.c.subscription: Subscription,
    _change.c.kind: ChangeKind,
}
"""The columns that hold one of a few words."""


@dataclass(frozen=True, slots=True)
class WrongValue:
    """A value that Newsstand does not write."""

    column: Column[Any]
    key: tuple[Any, ...]
    """Of its row: the primary key, as it is stored."""
    value: Any
    name: Any = None
    """Of the node, or the id of the item, where the row is of one."""

    @property
    def table(self) -> Table:
        return self.column.table

    @property
    def text(self) -> str:
        """In words."""
        if self.table is _node:
            where = f"node {_shown(self.key[0])} ({_shown(self.name)})"
        elif self.name is not None:
            where = f"item {_shown(self.name)} of node {_shown(self.key[0])}"
        else:
            where = f"row {', '.join(map(_shown, self.key))}"
        return f"{where}: {self.column.name} is {_shown(self.value)}, which Newsstand does not write"

    def same_row(self, conn: Connection) -> ColumnElement[bool]:
        """The condition that is true of its row."""
        pairs = zip(self.table.primary_key.columns, self.key, strict=True)
        on_file = conn.dialect.name == "sqlite"  # where a key may be of another type than its column's
        return and_(*((type_coerce(column, NullType()) if on_file else column) == value for column, value in pairs))


def wrong_types(conn: Connection) -> Iterator[WrongValue]:
    """Values of another type than their column's. A server watches that itself, but for what JSON holds."""
    if conn.dialect.name != "sqlite":
        yield from _rows(conn, {_service.c.ways: "jsonb_typeof(ways) != 'object'"})
        return
    for mapped in Base.metadata.sorted_tables:
        yield from _rows(conn, {column: _has_wrong_type(column) for column in mapped.columns})


def unknown_words(conn: Connection) -> Iterator[WrongValue]:
    """Values that are none of the words that their column may hold."""
    for mapped in dict.fromkeys(column.table for column in WORDS):
        yield from _rows(conn, {column: _is_unknown(column) for column in WORDS if column.table is mapped})


def no_json(conn: Connection) -> Iterator[WrongValue]:
    """Parsed data that is a text, but no JSON. On a server there is none."""
    if conn.dialect.name == "sqlite":
        yield from _rows(conn, {_item.c.parsed: "(typeof(parsed) = 'text' AND NOT json_valid(parsed))"})


def find_reason(conn: Connection) -> str | None:
    """Why a statement may have met what it does not know: the first row that holds what Newsstand does not write, and
    what to do. None where there is none."""
    for kind in (wrong_types, unknown_words, no_json):
        for wrong in kind(conn):
            return f"{wrong.table.name}, {wrong.text}: `newsstand db check --repair` mends it"
    return None


# Conditions are texts: as expressions, of all columns, they would take longer to be made and compiled than to be run.


def _has_wrong_type(column: Column[Any]) -> str:
    """On SQLite."""
    if column is _service.c.ways:
        no_json = "typeof(ways) != 'text' OR NOT json_valid(ways)"
        return f"CASE WHEN {no_json} THEN 1 ELSE json_type(ways) != 'object' END"
    name = f'"{column.name}"'
    right = f"typeof({name}) = '{_type_of(column)}'"
    if isinstance(column.type, Boolean):
        right = f"({right} AND {name} IN (0, 1))"
    if column.nullable:
        right = f"({right} OR {name} IS NULL)"
    return f"NOT {right}"


def _is_unknown(column: Column[Any]) -> str:
    known = ", ".join(f"'{word.value}'" for word in WORDS[column])
    return f'"{column.name}" NOT IN ({known})'


def _type_of(column: Column[Any]) -> str:
    """As SQLite's `typeof` calls it."""
    match column.type:
        case Boolean() | Integer() | BigInteger():
            return "integer"
        case LargeBinary():
            return "blob"
        case String() | JSON() | Json():
            return "text"
    raise AssertionError(f"{column} is of a type that nobody thought of")


def _rows(conn: Connection, wrong: Mapping[Column[Any], str]) -> Iterator[WrongValue]:
    """Of one table, in one pass: the values of which it is true that they are wrong. They come as they are stored: what
    is wrong cannot be read as what it should be."""
    mapped = next(iter(wrong)).table
    key = [f'"{part.name}"' for part in mapped.primary_key.columns]
    named = mapped.c.get("name" if mapped is _node else "item_id")
    name = "NULL" if named is None else f'"{named.name}"'
    of_columns = [part for column, condition in wrong.items() for part in (f'"{column.name}"', condition)]
    found = conn.exec_driver_sql(
        f"SELECT {', '.join([name, *key, *of_columns])} FROM {mapped.name} WHERE {' OR '.join(wrong.values())}"  # noqa: S608 - names of ours
    )
    for row in found:
        values = row[1 + len(key) :]
        for column, value, is_wrong in zip(wrong, values[::2], values[1::2], strict=True):
            if is_wrong:
                yield WrongValue(column, tuple(row[1 : 1 + len(key)]), value, row[0])


def _shown(value: object) -> str:
    return repr(value)[:100]
