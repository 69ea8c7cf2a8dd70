"""Which tables and columns are portable: they mean the same in another database, and a copy of one takes them along."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table

from newsstand.storage.mapping import Base

# Who works on a database at the moment means nothing in another one.
_TABLES_OF_THE_MOMENT = frozenset({"newsstand_worker", "newsstand_parsing"})
_COLUMNS_OF_THE_MOMENT = frozenset({("newsstand_node", "leader")})

Row = tuple[Any, ...]
"""The values of a table's portable columns, in their order."""


def tables() -> list[Table]:
    """The portable tables; each comes after those that its rows point at."""
    return [mapped for mapped in Base.metadata.sorted_tables if mapped.name not in _TABLES_OF_THE_MOMENT]


def columns(mapped: Table) -> list[Column[Any]]:
    """The portable columns of a table."""
    return [column for column in mapped.columns if (mapped.name, column.name) not in _COLUMNS_OF_THE_MOMENT]


def key_of(mapped: Table, row: Row) -> Row:
    """The primary key of a row."""
    return tuple(value for column, value in zip(columns(mapped), row, strict=True) if column.primary_key)
