"""Which tables and columns hold more than the moment: what a copy of a database takes along."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table

from newsstand.storage.mapping import Base

# Who works on a database at the moment means nothing in another one: tables that are left out, and columns.
_TABLES_OF_THE_MOMENT = frozenset({"newsstand_worker", "newsstand_parsing"})
_COLUMNS_OF_THE_MOMENT = frozenset({("newsstand_node", "leader")})

Row = tuple[Any, ...]


def tables() -> list[Table]:
    """All that are more than of the moment; each comes after those that its rows point at."""
    return [mapped for mapped in Base.metadata.sorted_tables if mapped.name not in _TABLES_OF_THE_MOMENT]


def columns(mapped: Table) -> list[Column[Any]]:
    """Those that are more than of the moment."""
    return [column for column in mapped.columns if (mapped.name, column.name) not in _COLUMNS_OF_THE_MOMENT]


def key_of(mapped: Table, row: Row) -> Row:
    return tuple(value for column, value in zip(columns(mapped), row, strict=True) if column.primary_key)
