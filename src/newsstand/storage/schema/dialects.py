"""Full text and JSON paths: the one room where the databases differ.

On SQLite, `newsstand_item_fts` is an FTS5 table over `newsstand_item_text` (external content: the words are stored
once), filled here, a batch at a time, which costs half of what triggers would. Emptied it is by a trigger, whatever
takes an item away. On PostgreSQL it is a GIN index of that table: of the words as an array, not of a tsvector, which
holds no more than a megabyte and has opinions of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    TableClause,
    Text,
    bindparam,
    cast,
    column,
    exists,
    false,
    func,
    insert,
    literal_column,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ClauseList, Grouping
from sqlalchemy.sql.functions import FunctionElement

from newsstand.storage.mapping import ItemText, PubsubItem, table

CHANNEL = "newsstand"
"""On which PostgreSQL tells that a node changed, by its id. Only a hint: who needs to know looks as well."""
FTS_TABLE = "newsstand_item_fts"
MAX_SCOPES = 50
"""How many nodes are looked for within the index; more are filtered afterwards."""

_NODE = "@"
"""Before a node's word in the index: no word of a text holds it."""

_text = table(ItemText)
_item = table(PubsubItem)

_fts = TableClause(FTS_TABLE, column("rowid", BigInteger))
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', :node_id)")
_FTS_INSERT = text(f"INSERT INTO {FTS_TABLE}(rowid, scope, terms) VALUES (:docid, :scope, :terms)")
_ARROW: ColumnElement[Any] = literal_column("->")
_WORDS: ColumnElement[Any] = literal_column(
    f"string_to_array('{_NODE}' || {_text.name}.scope || ' ' || {_text.name}.terms, ' ')"
)


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


def tell(conn: Connection, node_id: int) -> None:
    """When this transaction is committed, other workers are to look at this node."""
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


def scope_of(node_id: int) -> str:
    return f"n{node_id}"


def add_words(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of `newsstand_item_text`, and what makes them found."""
    conn.execute(insert(_text), rows)
    if conn.dialect.name == "sqlite":
        conn.execute(_FTS_INSERT, [{name: row[name] for name in ("docid", "scope", "terms")} for row in rows])


def index_is_right(conn: Connection) -> bool:
    """Whether the full-text index agrees with the words. On SQLite it is asked by a statement that writes, and changes
    nothing; on PostgreSQL it is an index like any other."""
    if conn.dialect.name != "sqlite":
        return True
    try:
        conn.exec_driver_sql(f"INSERT INTO {FTS_TABLE}({FTS_TABLE}, rank) VALUES ('integrity-check', 1)")
    except DatabaseError as error:
        if "malformed" not in str(error.orig):
            raise
        return False
    return True


def rebuild_index(conn: Connection) -> None:
    """Make the full-text index anew, of the words."""
    conn.exec_driver_sql(f"INSERT INTO {FTS_TABLE}({FTS_TABLE}) VALUES ('rebuild')")


def prepare_search(conn: Connection) -> None:
    """Within the caller's transaction. A plan made for any word at all suits neither a rare nor a common one."""
    if conn.dialect.name != "sqlite":
        conn.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")


def with_words(
    conn: Connection, cut: list[str], nodes: list[int] | None, conditions: list[ColumnElement[bool]]
) -> tuple[Select[Any], Select[Any]]:
    """The recencies of the items that hold all of the words (there is one at least), and the same to be counted. The
    index is asked first: so no more is read than a page needs, however common a word is."""
    found_at: ColumnElement[int]
    if nodes is not None and len(nodes) > MAX_SCOPES:
        conditions, nodes = [*conditions, _item.c.node_id.in_(nodes)], None
    if conn.dialect.name == "sqlite":
        found_at = _fts.c.rowid
        in_index = select(found_at).where(literal_column(FTS_TABLE).op("MATCH")(_match(cut, nodes)))
    else:
        found_at = _text.c.docid
        in_index = select(found_at).where(_WORDS.op("@>")(_array(cut)))
        if nodes is not None:
            in_index = in_index.where(_WORDS.op("&&")(_array([_NODE + scope_of(node_id) for node_id in nodes])))
    fitting = [_item.c.recency == found_at, _item.c.quarantine.is_(None), *conditions]
    found = in_index.where(exists(select(1).select_from(_item).where(*fitting).correlate(found_at.table)))
    return found, found if conditions else in_index


def _match(cut: list[str], nodes: list[int] | None) -> str:
    # Each word quoted: nothing a person types is syntax.
    match = " AND ".join(f'terms:"{word}"' for word in cut)
    if nodes is not None:
        match += " AND (" + " OR ".join(f'scope:"{scope_of(node_id)}"' for node_id in nodes) + ")"
    return match


def _array(cut: list[str]) -> ColumnElement[Any]:
    """Words hold no spaces."""
    return func.string_to_array(cast(" ".join(cut), Text), " ")


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
