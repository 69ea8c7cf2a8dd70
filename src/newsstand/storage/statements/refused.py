"""Statements on the rows of nodes that are closed to their account. A database keeps them for a while, hidden
(`refused_days`); a backup, or a copy of it, does not take them along unless it is asked to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, exists, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from newsstand.model import Counts, SyncState
from newsstand.storage.mapping import PubsubItem, PubsubNode, table
from newsstand.storage.schema import full_text, versioning
from newsstand.storage.schema.portable import Row, columns
from newsstand.storage.statements import nodes

_node = table(PubsubNode)
_item = table(PubsubItem)


def nodes_with_rows(conn: Connection) -> list[int]:
    """Their ids."""
    rows = exists(select(1).select_from(_item).where(_item.c.node_id == _node.c.id))
    return list(conn.scalars(select(_node.c.id).where(_node.c.state == SyncState.GONE.value, rows)))


def without_rows(row: Row, node_ids: Collection[int]) -> Row:
    """A row of the nodes' table as it is once the items of these nodes are erased."""
    names = [column.name for column in columns(_node)]
    values = dict(zip(names, row, strict=True))
    if values["id"] not in node_ids:
        return row
    return tuple((values | {"revision": values["revision"] + 1, **Counts()._asdict()}).values())


def take_out(file: Path) -> None:
    """Erase them in a file that nobody else uses, so that they cannot be recovered from it. It is left as it is where
    there are none."""
    with _alone(file) as conn:
        if _node.name not in versioning.tables(conn) or not (refused := nodes_with_rows(conn)):
            return
        conn.exec_driver_sql("PRAGMA journal_mode=MEMORY")  # nothing of them goes to another file
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        for node_id in refused:
            nodes.erase_items(conn, node_id)
        conn.exec_driver_sql("COMMIT")
        _write_anew(conn)


def clean(file: Path) -> None:
    """Let nothing be recovered from a file that was taken out of it before. Nobody else uses it."""
    with _alone(file) as conn:
        _write_anew(conn)
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _alone(file: Path) -> Iterator[Connection]:
    """Without transactions but those that are begun by hand."""
    engine = create_engine(URL.create("sqlite", database=str(file)), poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("PRAGMA foreign_keys=ON")
        yield conn


def _write_anew(conn: Connection) -> None:
    full_text.rebuild_index(conn)  # it remembers words that were taken out, too
    conn.exec_driver_sql("VACUUM")
