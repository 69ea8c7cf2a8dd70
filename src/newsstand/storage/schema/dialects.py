"""What differs between SQLite and PostgreSQL, as verbs: who calls them need not know which database it has.

Beside this module, three more of this package know what each database does: `full_text` (the index), `ids` (which ids
were given) and `columns` (which values it keeps). Elsewhere only these ask a connection for its dialect:

- `newsstand.storage.mapping.Json`: a type says itself how each database stores it.
- `newsstand.storage.statements.answers`: a statement that was compiled once is run on the driver's own connection, and
  the two drivers are called differently.
- The revisions in `newsstand.storage.migrations.versions`, which stay as they are, whatever becomes of these modules.

The packages `newsstand.storage.sqlite` and `newsstand.storage.postgresql` are chosen by the URL, and ask nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    Text,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal_column,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ClauseList, Grouping
from sqlalchemy.sql.functions import FunctionElement

from newsstand.storage.mapping import VERSION_TABLE, PubsubItem, table

CHANNEL = "newsstand"
"""The channel on which PostgreSQL notifies that a node changed, by its id. Only a hint: who needs to know polls, too.
"""
LOCK_WRITING = f"LOCK TABLE {VERSION_TABLE} IN EXCLUSIVE MODE"
"""On PostgreSQL, what a transaction begins with that writes items, so that the next one waits: as on SQLite there is
one writer at a time. Readers do not notice. Before it no snapshot is taken, so that at every isolation level it sees
what the one before it wrote."""

_item = table(PubsubItem)

_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', :node_id)")
_ARROW: ColumnElement[Any] = literal_column("->")


def now(conn: Connection) -> int:
    """Microseconds since the epoch, by a clock that all who use this database share."""
    if conn.dialect.name == "sqlite":
        return time.time_ns() // 1000
    return int(conn.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp()) * 1000000").scalar_one())


def clock(conn: Connection) -> ColumnElement[int]:
    """The same within a statement."""
    if conn.dialect.name == "sqlite":
        return bindparam("b_now", type_=BigInteger)
    return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)


def given_now(conn: Connection) -> dict[str, int]:
    """The parameters of a statement that holds `clock`."""
    return {"b_now": now(conn)} if conn.dialect.name == "sqlite" else {}


class MadeOnce:
    """A statement that differs between the databases, and is made once for each: at its first use."""

    def __init__(self, make: Callable[[Connection], Select[Any]]) -> None:
        self._make = make
        self._made: dict[str, Select[Any]] = {}

    def on(self, conn: Connection) -> Select[Any]:
        """The statement for this database."""
        made = self._made.get(conn.dialect.name)
        if made is None:
            made = self._made[conn.dialect.name] = self._make(conn)
        return made


def notify(conn: Connection, node_id: int) -> None:
    """When this transaction is committed, other workers are to poll this node."""
    if conn.dialect.name != "sqlite":
        conn.execute(_NOTIFY, {"node_id": str(node_id)})


class text_bytes(FunctionElement[int]):
    """How many bytes a text takes in UTF-8."""

    name = "text_bytes"
    inherit_cache = True
    type = BigInteger()


@compiles(text_bytes, "sqlite")
def _text_bytes_on_sqlite(element: text_bytes, compiler: Any, **options: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"


@compiles(text_bytes, "postgresql")
def _text_bytes_on_postgresql(element: text_bytes, compiler: Any, **options: Any) -> str:
    return f"octet_length({compiler.process(element.clauses, **options)})"


def field_holds(
    conn: Connection, number: int, keys: Sequence[str], value: str | int | float | bool
) -> ColumnElement[bool]:
    """Whether a field of the parsed data equals the value, or is a list that holds it."""
    if conn.dialect.name == "sqlite":
        return _json_each_holds(number, keys, value)
    if isinstance(value, str) and "\0" in value:
        return false()  # JSONB knows none, and does not let us ask
    from sqlalchemy.dialects.postgresql import JSONB

    # Side by side: one expression within another for each key would exhaust Python's stack where there are many.
    steps = [step for key in keys for step in (_ARROW, cast(key, Text))]
    listed = ClauseList(_item.c.parsed, *steps, operator=None, group=False)  # type: ignore[arg-type]  # no commas
    field: ColumnElement[Any] = Grouping(listed)
    return type_coerce(field, JSONB()).op("@>")(cast(value, JSONB()))


def json_path(keys: Sequence[str]) -> str:
    """Keys as a JSON path of SQLite."""
    return "$" + "".join(f".{json.dumps(key, ensure_ascii=False)}" for key in keys)


def _json_each_holds(number: int, keys: Sequence[str], value: str | int | float | bool) -> ColumnElement[bool]:
    # json_each yields the elements of a list, and a lone value as it is; of an object its members, which are not
    # the field's value: they alone have texts for keys.
    each = func.json_each(_item.c.parsed, json_path(keys)).table_valued("key", "value", "type", name=f"field_{number}")
    conditions = [func.typeof(each.c.key) != "text"]
    if isinstance(value, bool):
        conditions.append(each.c.type == ("true" if value else "false"))
    else:
        conditions += [each.c.value == value, each.c.type.not_in(("true", "false"))]
    return exists(select(1).select_from(each).where(*conditions))


def is_json(conn: Connection) -> ColumnElement[bool]:
    """Whether the parsed data of an item is JSON, or is not there."""
    if conn.dialect.name != "sqlite":
        return true()  # JSONB holds nothing else
    return _item.c.parsed.is_(None) | (func.json_valid(_item.c.parsed) == 1)


def in_code_points(conn: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column that is sorted and compared by code points and bytes. On PostgreSQL, texts are otherwise sorted as its
    locale has it."""
    return column.collate("C") if conn.dialect.name != "sqlite" and isinstance(column.type, String) else column


def read_any_text(conn: Connection) -> None:
    """What is no UTF-8 in a file, because bits of it flipped, is read as what no text of ours can hold, half surrogate
    pairs, rather than refused: its digest tells. A server stores nothing of the kind."""
    if conn.dialect.name == "sqlite":
        driver: Any = conn.connection.driver_connection
        driver.text_factory = lambda raw: raw.decode(errors="surrogateescape")


def reads_row_by_row(conn: Connection) -> bool:
    """Whether the driver reads the rows of a select when they are asked for, rather than all at once."""
    return conn.dialect.name == "sqlite"


def lock_writing(conn: Connection) -> None:
    """From here to the end of the transaction nobody else writes. On SQLite it may have begun so already."""
    if conn.dialect.name != "sqlite":
        conn.exec_driver_sql(LOCK_WRITING)
        return
    driver: Any = conn.connection.driver_connection
    if not driver.in_transaction:
        conn.exec_driver_sql("BEGIN IMMEDIATE")


def find_version(conn: Connection) -> str | None:
    """What stands in the table of the schema's revision; None where there is no such table, or nothing in it."""
    select = f"SELECT version_num FROM {VERSION_TABLE}"
    if conn.dialect.name != "sqlite":
        # A statement that fails would end the transaction; and to_regclass, after waiting for another process's
        # migration, may still know from before that there is no such table.
        there = conn.exec_driver_sql(
            f"SELECT oid FROM pg_class WHERE relname = '{VERSION_TABLE}' AND pg_table_is_visible(oid)"
        ).scalar()
        return conn.exec_driver_sql(select).scalar() if there is not None else None
    try:
        return conn.exec_driver_sql(select).scalar()
    except OperationalError as error:
        if "no such table" in str(error):
            return None
        raise


def unwatched_foreign_keys(conn: Connection, table_name: str) -> str | None:
    """The table that a row of this one points into, at nothing, where the database did not watch its foreign keys:
    SQLite does not while a migration runs, PostgreSQL always does."""
    if conn.dialect.name != "sqlite":
        return None
    broken = conn.exec_driver_sql(f'PRAGMA foreign_key_check("{table_name}")').first()
    return None if broken is None else str(broken[2])


def problems_of_file(conn: Connection, most: int) -> list[str]:
    """What is wrong with the file of the database, in SQLite's words, `most` at most. A server watches over its own
    files."""
    if conn.dialect.name != "sqlite":
        return []
    found = conn.exec_driver_sql(f"PRAGMA integrity_check({most})").scalars()
    return [str(problem) for problem in found if problem != "ok"]


def make_indexes_anew(conn: Connection, table_name: str) -> None:
    """Make the indexes of a table anew, of its rows."""
    kind = "" if conn.dialect.name == "sqlite" else "TABLE "
    conn.exec_driver_sql(f'REINDEX {kind}"{table_name}"')
