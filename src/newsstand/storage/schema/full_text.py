"""The full-text index, which is built differently on each database.

On SQLite, `newsstand_item_fts` is an FTS5 table over `newsstand_item_text` (external content: the words are stored
once), filled here, a batch at a time, which costs half of what triggers would. Emptied it is by a trigger, whatever
takes an item away. On PostgreSQL it is a GIN index of that table: of the words as an array, not of a tsvector, which
holds no more than a megabyte and has opinions of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    TableClause,
    Text,
    cast,
    column,
    exists,
    func,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError

from newsstand.storage.mapping import ItemText, PubsubItem, table

FTS_TABLE = "newsstand_item_fts"
MAX_SCOPES = 50
"""How many nodes are looked for within the index; more are filtered afterwards."""

_NODE = "@"
"""Before a node's word in the index: no word of a text holds it."""

_text = table(ItemText)
_item = table(PubsubItem)

_fts = TableClause(FTS_TABLE, column("rowid", BigInteger))
_FTS_INSERT = text(f"INSERT INTO {FTS_TABLE}(rowid, scope, terms) VALUES (:docid, :scope, :terms)")
_WORDS: ColumnElement[Any] = literal_column(
    f"string_to_array('{_NODE}' || {_text.name}.scope || ' ' || {_text.name}.terms, ' ')"
)


def scope_of(node_id: int) -> str:
    """The word that stands for a node in the index."""
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


def delete_words(conn: Connection, docids: Iterable[Sequence[int]]) -> None:
    """Delete rows of `newsstand_item_text`, a list of them by each statement, though the index may not agree with them.
    On SQLite it is made anew, and the trigger that empties it must not meet it meanwhile."""
    deletes = [_text.delete().where(_text.c.docid.in_(some)) for some in docids]
    if conn.dialect.name != "sqlite":
        for statement in deletes:
            conn.execute(statement)
        return
    of_words = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
    triggers = conn.exec_driver_sql(of_words, (_text.name,)).all()
    for name, _ in triggers:
        conn.exec_driver_sql(f'DROP TRIGGER "{name}"')
    for statement in deletes:
        conn.execute(statement)
    rebuild_index(conn)
    for _, sql in triggers:
        conn.exec_driver_sql(sql)


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
