"""The ids that a table gave, on each database. One that is gone is not given again: something about it may still
arrive."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Table, func, select, text

from newsstand.storage.mapping import Base

_SEQUENCE = text("SELECT pg_get_serial_sequence(:table, :column)")


def tables() -> list[Table]:
    """The tables that give ids themselves."""
    return [mapped for mapped in Base.metadata.sorted_tables if _id_of(mapped) is not None]


def highest_held(conn: Connection, mapped: Table) -> int:
    """The highest id of the rows that are there; 0 where there is none."""
    return int(conn.execute(select(func.max(_id_of(mapped)))).scalar() or 0)


def highest_given(conn: Connection, mapped: Table) -> int:
    """The id behind which the next one comes: that of a row that is there, or was."""
    if conn.dialect.name == "sqlite":
        # Without AUTOINCREMENT, SQLite counts on from the rows that are there; with it, from the higher of the two.
        remembered = 0
        if _is_remembered(mapped):
            found = conn.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": mapped.name})
            remembered = found.scalar() or 0
        return max(int(remembered), highest_held(conn, mapped))
    sequence = _sequence_of(conn, mapped)
    found = conn.exec_driver_sql(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
    return int(found.scalar_one())


def go_on_after(conn: Connection, mapped: Table, given: int) -> None:
    """Let the next id be higher than `given`, if it would not be anyway."""
    if given <= highest_given(conn, mapped):
        return
    if conn.dialect.name != "sqlite":
        conn.execute(
            text("SELECT setval(CAST(:sequence AS regclass), :given)"),
            {"sequence": _sequence_of(conn, mapped), "given": given},
        )
    elif _is_remembered(mapped):
        names = {"table": mapped.name, "given": given}
        if not conn.execute(text("UPDATE sqlite_sequence SET seq = :given WHERE name = :table"), names).rowcount:
            conn.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :given)"), names)


def _id_of(mapped: Table) -> Column[int] | None:
    return mapped.autoincrement_column


def _is_remembered(mapped: Table) -> bool:
    return bool(mapped.dialect_options["sqlite"]["autoincrement"])


def _sequence_of(conn: Connection, mapped: Table) -> str:
    """Its name, quoted if need be."""
    column = _id_of(mapped)
    assert column is not None
    names = {"table": mapped.name, "column": column.name}
    return str(conn.execute(_SEQUENCE, names).scalar_one())
